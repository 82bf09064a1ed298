//! How a classifier of scans was trained, as the report says it: every setting of its recipe, by group.

use serde::Serialize;
use toml::Value;

use crate::{
    cohort::Cohort,
    eval::{Convergence, Unit},
    recipe::TrainVolume,
    report::Fact,
    study::split_words,
    words::count,
};

/// All that the recipe settles, and how the training went.
pub(super) fn of(recipe: &TrainVolume, cohort: &Cohort, convergence: &Convergence) -> Vec<Fact> {
    let mut facts = Facts(Vec::new());
    if let Some(table) = recipe.cohort.table.as_ref().and_then(|table| table.file_name()) {
        facts.add("Cohort", "table", table.to_string_lossy());
    }
    facts.add("Cohort", "scans", count(cohort.len()));
    facts.add("Cohort", "patients", count(cohort.n_patients));
    facts.add("Split", "kind", split_words(&recipe.split));
    facts.all("Network", &recipe.network);
    facts.all("Input", &recipe.input);
    facts.all("Training", &recipe.train);
    facts.all("Learning rate and end of the training", &recipe.plateau);
    facts.add("Convergence", "epochs", count(convergence.epochs));
    facts.add(
        "Convergence",
        "training loss",
        format!(
            "{:.4} in the first epoch, {:.4} at best",
            convergence.first_loss, convergence.best_loss
        ),
    );
    if let Some(loss) = convergence.scored_loss {
        let value = format!("{loss:.4}, without dropout and augmentation");
        facts.add("Convergence", "loss of the chosen weights on the training scans", value);
    }
    facts.add(
        "Convergence",
        "AUC on the training scans",
        match (convergence.training_auc, convergence.training_auc_ci) {
            (None, _) => "not defined".to_owned(),
            (Some(auc), None) => format!("{auc:.3} (no interval)"),
            (Some(auc), Some([lower, upper])) => format!("{auc:.3} ({lower:.3} to {upper:.3})"),
        },
    );
    let section = &recipe.evaluate;
    facts.add(
        "Evaluation",
        "unit",
        match section.unit {
            Unit::Patient => format!("patient, by the {} of its scans", section.pool.pooled("score")),
            unit => unit.to_string(),
        },
    );
    facts.add(
        "Evaluation",
        "threshold rule",
        format!(
            "{}, chosen on the validation set before any other was looked at",
            section.threshold
        ),
    );
    facts.add("Reproducibility", "seed", recipe.seed.to_string());
    facts.add("Reproducibility", "hounsfield", env!("CARGO_PKG_VERSION"));
    facts.0
}

struct Facts(Vec<Fact>);

impl Facts {
    fn add(&mut self, group: &str, name: &str, value: impl Into<String>) {
        self.0.push(Fact {
            group: group.to_owned(),
            name: name.to_owned(),
            value: value.into(),
        });
    }

    /// Every setting of a section.
    fn all(&mut self, group: &str, section: &impl Serialize) {
        // Sections were read from TOML, and can be written as such.
        let Ok(table) = toml::Table::try_from(section) else {
            return;
        };
        self.table(group, "", table);
    }

    fn table(&mut self, group: &str, above: &str, table: toml::Table) {
        for (name, value) in table {
            let name = match above {
                "" => name,
                above => format!("{above}.{name}"),
            };
            match value {
                Value::Table(inner) => self.table(group, &name, inner),
                Value::String(text) => self.add(group, &name, text),
                other => self.add(group, &name, other.to_string()),
            }
        }
    }
}
