//! Every printed number of the two papers that this project starts from, and what becomes of it when it is recomputed.
//!
//! Song et al. 2020 (doi:10.1007/s00259-020-04929-1) and Pu et al. 2020 (doi:10.1007/s00330-020-06956-w). A claim carries
//! what it is recomputed from; no verdict is stored but the one that is expected, and a test holds the two together.

mod agreement;
mod check;
mod counts;
mod error;
mod findings;
pub mod leakage;
mod means;
mod performance;
mod predictions;
mod readings;
mod rounding;
mod simulation_table;
mod table;
mod yours;

use serde::{Deserialize, Serialize};

pub use self::{
    check::{Check, PrintedP},
    error::ClaimsError,
    findings::{Finding, Findings},
    predictions::Predictions,
    readings::Readings,
    yours::{Measure, Source, Yours},
};

/// A paper with its claims.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Its name on the command line, e.g. `song2020`.
    pub name: String,
    /// Authors, year and title.
    pub title: String,
    /// Its DOI.
    pub doi: String,
    /// In the order in which the paper prints them.
    pub claims: Vec<Claim>,
}

/// A printed number, or what a sentence implies about numbers.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Unique, e.g. `S-age-mean`.
    pub id: String,
    /// Where it stands, e.g. `Abstract/Results`.
    pub location: String,
    /// What it is of.
    pub quantity: String,
    /// As the paper prints it.
    pub printed: String,
    /// What the recomputation is known to say.
    pub expected: Verdict,
    /// How it is recomputed, with all inputs.
    pub recompute: Check,
    /// What of a user's own data stands beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yours: Option<Source>,
    /// What a reader should know.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// What this list says differently from the one that it was made from.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub mended: String,
}

/// What a recomputation says of a printed number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING-KEBAB-CASE")]
pub enum Verdict {
    /// The printed inputs give it.
    Ok,
    /// The printed inputs don't, unrounded ones may.
    OkRoundOnly,
    /// What can be checked without the data does not speak against it.
    Consistent,
    /// It contradicts what else is printed.
    Mismatch,
    /// Only data can tell.
    Data,
    /// A setting, not a result.
    Config,
}

impl Verdict {
    /// All, in the order of summaries.
    pub const ALL: [Self; 6] = [
        Self::Ok,
        Self::OkRoundOnly,
        Self::Consistent,
        Self::Mismatch,
        Self::Data,
        Self::Config,
    ];

    /// As tables show it, e.g. `OK-ROUND-ONLY`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::OkRoundOnly => "OK-ROUND-ONLY",
            Self::Consistent => "CONSISTENT",
            Self::Mismatch => "MISMATCH",
            Self::Data => "DATA",
            Self::Config => "CONFIG",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// The papers as they are shipped, by name.
const SHIPPED: [(&str, &str); 2] = [
    ("song2020", include_str!("song2020.json")),
    ("pu2020", include_str!("pu2020.json")),
];

impl Paper {
    /// The names of all papers.
    pub const NAMES: [&str; 2] = [SHIPPED[0].0, SHIPPED[1].0];

    /// The paper of this name.
    ///
    /// ```
    /// use hounsfield::claims::{Paper, Verdict};
    /// let findings = Paper::named("song2020")?.recompute()?;
    /// let age = findings.of("S-age-mean").expect("the abstract prints a mean age");
    /// assert_eq!((age.verdict, age.numbers["mean"].round()), (Verdict::Mismatch, 41.0));
    /// # Ok::<(), hounsfield::claims::ClaimsError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ClaimsError::UnknownPaper`], with the names that there are.
    pub fn named(name: &str) -> Result<Self, ClaimsError> {
        let shipped = SHIPPED.iter().find(|(shipped, _)| *shipped == name);
        let (_, text) = shipped.ok_or_else(|| ClaimsError::UnknownPaper { found: name.to_owned() })?;
        // Part of the program, and read by a test.
        Ok(serde_json::from_str(text).expect("shipped claims are well-formed"))
    }

    /// Recomputes every claim from what is printed.
    ///
    /// # Errors
    ///
    /// Inputs of which a test is not defined.
    pub fn recompute(&self) -> Result<Findings, ClaimsError> {
        let findings = self.claims.iter().map(|claim| {
            let recomputed = claim.recompute.run()?;
            Ok(Finding {
                claim: claim.clone(),
                recomputed: recomputed.text,
                numbers: recomputed.numbers,
                verdict: recomputed.verdict,
                from_your_data: None,
            })
        });
        Ok(Findings {
            paper: self.name.clone(),
            title: self.title.clone(),
            doi: self.doi.clone(),
            findings: findings.collect::<Result<_, ClaimsError>>()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::{Check, Paper, Verdict};

    #[test]
    fn all_102_verdicts_are_recomputed_as_expected() {
        let mut counts = [0; 6];
        for name in Paper::NAMES {
            for finding in Paper::named(name).unwrap().recompute().unwrap().findings {
                let (id, expected) = (&finding.claim.id, finding.claim.expected);
                assert_eq!(finding.verdict, expected, "{id}: {}", finding.recomputed);
                assert!(finding.numbers.values().all(|number| number.is_finite()), "{id}");
                let at = Verdict::ALL.iter().position(|verdict| *verdict == expected).unwrap();
                counts[at] += 1;
            }
        }
        assert_eq!(counts, [54, 2, 9, 13, 16, 8]);
    }

    #[test]
    fn ids_are_unique_and_papers_that_are_none_are_refused_with_the_names() {
        let ids: Vec<String> = Paper::NAMES
            .iter()
            .flat_map(|name| Paper::named(name).unwrap().claims)
            .map(|claim| claim.id)
            .collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
        let message = Paper::named("song").unwrap_err().to_string();
        assert!(message.contains("song2020") && message.contains("pu2020"), "{message}");
    }

    /// The number that is compared is the one that is shown as printed.
    #[test]
    fn what_is_compared_is_what_is_printed() {
        for claim in Paper::NAMES.iter().flat_map(|name| Paper::named(name).unwrap().claims) {
            let compared: Vec<f64> = match &claim.recompute {
                Check::Sum { total, .. } => vec![*total as f64],
                Check::Difference { result, .. } => vec![*result as f64],
                Check::Mean { mean, .. } => vec![*mean],
                Check::WeightedMean { mean, sd, .. } => std::iter::once(*mean).chain(*sd).collect(),
                Check::Percentage { hits, percent, .. } => vec![*hits as f64, *percent],
                Check::AucPairs { auc, .. } => vec![*auc],
                Check::ResampledProportion {
                    hits,
                    of,
                    percent,
                    interval,
                    ..
                } => {
                    vec![*hits as f64, *of as f64, *percent, interval[0], interval[1]]
                }
                Check::KappaFromMargins { kappa, interval, .. } => vec![*kappa, interval[0], interval[1]],
                Check::AucInterval { auc, interval, .. } => vec![*auc, interval[0], interval[1]],
                _ => continue,
            };
            let numbers: Vec<f64> = claim
                .printed
                .split(|c: char| !(c.is_ascii_digit() || c == '.'))
                .filter_map(|word| word.parse().ok())
                .collect();
            for value in compared {
                assert!(
                    numbers.contains(&value.abs()),
                    "{}: {value} in {:?}",
                    claim.id,
                    claim.printed
                );
            }
        }
    }
}
