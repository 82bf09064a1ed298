//! What became of a paper's claims.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Claim, Verdict, Yours};

/// Grows by one when a reader of the file would have to change.
const SCHEMA: u32 = 1;

/// A claim with its recomputation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// What the paper prints.
    #[serde(flatten)]
    pub claim: Claim,
    /// What comes out, in words.
    pub recomputed: String,
    /// What comes out, in numbers; percentages are in percent.
    pub numbers: BTreeMap<String, f64>,
    /// What that says of the printed number.
    pub verdict: Verdict,
    /// The user's own figure beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from_your_data: Option<Yours>,
}

/// All of a paper.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Findings {
    /// The paper's name on the command line.
    pub paper: String,
    /// Authors, year and title.
    pub title: String,
    /// Its DOI.
    pub doi: String,
    /// In the order of the paper.
    pub findings: Vec<Finding>,
}

impl Findings {
    /// The finding of a claim.
    pub fn of(&self, id: &str) -> Option<&Finding> {
        self.findings.iter().find(|finding| finding.claim.id == id)
    }

    /// How many claims have each verdict, those that none has left out.
    pub fn counts(&self) -> Vec<(Verdict, usize)> {
        let count = |verdict: &Verdict| {
            self.findings
                .iter()
                .filter(|finding| finding.verdict == *verdict)
                .count()
        };
        let counts = Verdict::ALL.iter().map(|verdict| (*verdict, count(verdict)));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    /// Everything, for programs.
    pub fn to_json(&self, simulation: Option<&super::leakage::Leakage>) -> String {
        #[derive(Serialize)]
        struct File<'a> {
            schema: u32,
            #[serde(flatten)]
            findings: &'a Findings,
            counts: BTreeMap<&'static str, usize>,
            #[serde(skip_serializing_if = "Option::is_none")]
            simulation: Option<&'a super::leakage::Leakage>,
        }
        let counts = self
            .counts()
            .into_iter()
            .map(|(verdict, count)| (verdict.name(), count));
        let file = File {
            schema: SCHEMA,
            findings: self,
            counts: counts.collect(),
            simulation,
        };
        // Strings, finite numbers and string keys only.
        serde_json::to_string_pretty(&file).expect("findings are plain data") + "\n"
    }
}
