//! `report.html`: one file that needs no network and no script.

mod explanation;
mod histogram;
mod measures;
mod plot;
mod roc;
mod scatter;
mod tables;

pub use self::{
    explanation::{explanation_page, picture_file},
    histogram::Histogram,
    scatter::{Groups, Scatter},
};
use super::{ReportFormat, StudyReport, panel};
use crate::words::counted;

/// The format of `report.html`.
pub struct Html;

const STYLE: &str = include_str!("style.css");

/// Nothing is fetched and nothing runs, even if a name in the data were to ask for it.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

impl ReportFormat for Html {
    fn name(&self) -> &'static str {
        "html"
    }

    fn file_name(&self) -> &'static str {
        "report.html"
    }

    fn render(&self, report: &StudyReport) -> String {
        let title = escape(&report.title);
        let banners = banners(&report.banners);
        let body = [
            format!(
                "<header>\n<h1>{title}</h1>\n<p class=\"lead\">{}</p>\n",
                headline(report)
            ),
            explanation_link(report),
            banners.clone(),
            warnings(report),
            "</header>\n<main>\n".to_owned(),
            tables::cohort(report),
            tables::audit(report),
            tables::results(report),
            tables::checks(report),
            roc::figures(report),
            measures::measures(report),
            tables::low_risk(report),
            measures::comparisons(report),
            measures::figures(report),
            tables::heads(report),
            tables::facts(report),
            tables::methods(report),
            "</main>\n".to_owned(),
            // Again at the end: a printed page is torn off easily.
            format!(
                "<footer>\n{banners}<p>Written by hounsfield {}.</p>\n</footer>\n",
                env!("CARGO_PKG_VERSION")
            ),
        ];
        page(&title, POLICY, &body.concat())
    }
}

/// Stands in every page that this program writes, and in no other.
pub const GENERATOR: &str = "<meta name=\"generator\" content=\"hounsfield\">";

/// A whole page around its body. `title` and `body` are markup.
fn page(title: &str, policy: &str, body: &str) -> String {
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n{GENERATOR}\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

fn headline(report: &StudyReport) -> String {
    escape(&panel::headline(report))
}

/// To what `hounsfield explain` drew, once it is there.
fn explanation_link(report: &StudyReport) -> String {
    let link = |file: &String| {
        let words = report.explanation_words();
        format!("<p><a href=\"{}\">{words}</a></p>\n", escape(file))
    };
    report.explanation.as_ref().map_or(String::new(), link)
}

fn banners(banners: &[String]) -> String {
    let mark = |banner: &String| {
        format!(
            "<p class=\"banner\" role=\"note\"><strong>{}</strong></p>\n",
            escape(banner)
        )
    };
    banners.iter().map(mark).collect()
}

fn warnings(report: &StudyReport) -> String {
    let warnings = report.shown_warnings();
    if warnings.is_empty() {
        return "<p class=\"calm\">No warnings.</p>\n".to_owned();
    }
    notices(&counted(warnings.len(), "warning"), &warnings)
}

/// A list that can't be overlooked; nothing where there is none.
fn notices(heading: &str, notices: &[impl AsRef<str>]) -> String {
    if notices.is_empty() {
        return String::new();
    }
    let items: String = notices
        .iter()
        .map(|notice| format!("<li>{}</li>\n", escape(notice.as_ref())))
        .collect();
    format!(
        "<section class=\"warnings\" aria-label=\"{heading}\">\n<h2>{heading}</h2>\n<ul>\n{items}</ul>\n</section>\n"
    )
}

/// Text as text, in elements and in quoted attributes.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped += "&amp;",
            '<' => escaped += "&lt;",
            '>' => escaped += "&gt;",
            '"' => escaped += "&quot;",
            '\'' => escaped += "&#39;",
            c if c.is_control() => escaped.push(' '),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::{Html, ReportFormat as _, StudyReport};

    #[test]
    fn names_of_the_user_are_no_markup_and_nothing_is_fetched() {
        let mut report = StudyReport {
            title: "<script>alert('x')</script>".to_owned(),
            positive: "\"covid\" & <b>".to_owned(),
            ..StudyReport::default()
        };
        report.mark("SONG2020 <i>");
        let page = Html.render(&report);
        for markup in [
            "<script", "<b>", "<i>", "http://", "https://", "src=", "url(", "@import",
        ] {
            assert!(!page.contains(markup), "{markup} in {page}");
        }
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"));
        assert_eq!(page.matches("SONG2020").count(), 2, "a banner at either end");
    }
}
