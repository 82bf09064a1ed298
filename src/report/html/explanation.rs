//! The page of `hounsfield explain` and of `hounsfield preview`: one file with all its pictures in it, which needs no network and no script.

use base64::{Engine as _, prelude::BASE64_STANDARD as BASE64};

use super::{
    super::explanation::{Explanation, ExplanationSection, Figure, FigureTable, Picture},
    STYLE, banners, escape, notices, page, tables,
};

/// As that of a report; pictures are read from the page itself.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// What every page of pictures must say.
const PICTURES: &str =
    "Pictures on this page are made from images of patients: pass it on as you would pass on the images.";

/// The whole page, and beside it the files of its figures link back to nothing: each stands alone.
pub fn explanation_page(explanation: &Explanation) -> String {
    let title = escape(&explanation.title);
    let banners = banners(&explanation.banners);
    let is_picture = |figure: &Figure| matches!(figure.picture, Picture::Png(_));
    let pictures = explanation
        .sections
        .iter()
        .flat_map(|section| &section.figures)
        .any(is_picture);
    let mut notes: Vec<&str> = explanation.notes.iter().map(String::as_str).collect();
    notes.extend(pictures.then_some(PICTURES));
    let link = |file: &String| {
        let file = escape(file);
        format!(" The figures of the study are in <a href=\"{file}\">its report</a>.")
    };
    let report = explanation.report.as_ref().map_or(String::new(), link);
    let sections: String = explanation.sections.iter().map(section).collect();
    let body = format!(
        "<header>\n<h1>{title}</h1>\n<p class=\"lead\">{}{report}</p>\n{banners}{}</header>\n<main>\n{sections}</main>\n\
         <footer>\n{banners}<p>Written by hounsfield {}.</p>\n</footer>\n",
        escape(&explanation.lead),
        notices("To know before", &notes),
        env!("CARGO_PKG_VERSION")
    );
    page(&title, POLICY, &body)
}

/// The picture as a file of its own: an SVG brings its colours along.
pub fn picture_file(picture: &Picture) -> Vec<u8> {
    match picture {
        Picture::Png(bytes) => bytes.clone(),
        Picture::Svg(svg) => {
            let alone = svg.replacen("<svg ", "<svg xmlns=\"http://www.w3.org/2000/svg\" ", 1);
            alone
                .replacen(">\n", &format!(">\n<style>\n{STYLE}</style>\n"), 1)
                .into_bytes()
        }
    }
}

fn section(section: &ExplanationSection) -> String {
    let words: String = section
        .words
        .iter()
        .map(|words| format!("<p>{}</p>\n", escape(words)))
        .collect();
    let figures: String = section.figures.iter().map(figure).collect();
    format!(
        "<section>\n<h2>{}</h2>\n{words}<div class=\"figures\">\n{figures}</div>\n{}</section>\n",
        escape(&section.heading),
        section.table.as_ref().map_or(String::new(), table)
    )
}

fn figure(figure: &Figure) -> String {
    let (title, caption) = (escape(&figure.title), escape(&figure.caption));
    let (class, picture) = match &figure.picture {
        Picture::Svg(svg) => ("", svg.clone()),
        Picture::Png(bytes) => (
            " class=\"wide\"",
            format!(
                "<img alt=\"{title}\" src=\"data:image/png;base64,{}\">\n",
                BASE64.encode(bytes)
            ),
        ),
    };
    format!("<figure{class}>\n{picture}<figcaption><strong>{title}</strong> {caption}</figcaption>\n</figure>\n")
}

fn table(table: &FigureTable) -> String {
    let line = |cells: &Vec<String>| {
        let cells: String = cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let headings: Vec<String> = table.headings.iter().map(|heading| escape(heading)).collect();
    tables::table(
        &escape(&table.caption),
        "measures",
        headings.iter().map(String::as_str),
        table.lines.iter().map(line),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 4648, section 10.
    #[test]
    fn the_page_fetches_nothing_and_says_that_its_pictures_are_of_patients() {
        let figure = |file: &str, picture: Picture| Figure {
            file: file.to_owned(),
            title: "a <b>figure</b>".to_owned(),
            caption: "with \"words\"".to_owned(),
            picture,
        };
        let section = |figures: Vec<Figure>| ExplanationSection {
            heading: "<i>Maps</i>".to_owned(),
            words: vec!["Read & think".to_owned()],
            figures,
            table: Some(FigureTable {
                caption: "<u>lines</u>".to_owned(),
                headings: vec!["one".to_owned()],
                lines: vec![vec!["<s>cell</s>".to_owned()]],
            }),
        };
        let svg = || figure("a.svg", Picture::Svg("<svg class=\"scatter\">\n</svg>\n".to_owned()));
        let mut explanation = Explanation {
            title: "<script>".to_owned(),
            lead: "What & why".to_owned(),
            report: Some("../report.html".to_owned()),
            banners: vec!["LEAKAGE: <a>".to_owned()],
            notes: vec![],
            sections: vec![section(vec![svg()])],
        };
        assert!(!explanation_page(&explanation).contains("images of patients"));
        explanation
            .sections
            .push(section(vec![figure("b.png", Picture::Png(vec![1, 2, 3]))]));
        let page = explanation_page(&explanation);
        for markup in [
            "<script", "<b>", "<i>", "<u>", "<s>", "http://", "https://", "url(", "@import",
        ] {
            assert!(!page.contains(markup), "{markup} in {page}");
        }
        assert_eq!(
            page.matches("src=").count(),
            page.matches("src=\"data:image/png;base64,AQID\"").count()
        );
        assert!(page.contains("images of patients") && page.contains("img-src data:"));
        assert_eq!(page.matches("LEAKAGE").count(), 2, "a banner at either end");

        let alone = String::from_utf8(picture_file(&svg().picture)).unwrap();
        assert!(alone.starts_with("<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"scatter\">\n<style>"));
    }
}
