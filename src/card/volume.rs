//! The card of a volume classifier: the file `classifier.toml` that stands beside trained weights and says how to use them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{
    CardError, CardKind, Training,
    files::{self, check_file, check_names, check_words},
};
use crate::{baseline::BaselineConfig, transforms::ScanInput};

/// The card's name in the folder of its weights.
pub const CLASSIFIER: &str = "classifier.toml";

/// What a trained volume classifier is and how it is used.
///
/// ```
/// use hounsfield::{baseline::BaselineConfig, card::{ClassifierCard, EncoderCard, Training}, transforms::ScanInput};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # std::fs::write(folder.join("weights.safetensors"), "")?;
/// let card = ClassifierCard {
///     schema: ClassifierCard::SCHEMA,
///     name: "pu-a-64".to_owned(),
///     description: "model A of Pu et al. 2020 on made scans of 64 voxels a side".to_owned(),
///     licence: "CC0-1.0".to_owned(),
///     positive: "covid".to_owned(),
///     negative: None,
///     weights: "weights.safetensors".into(),
///     sha256: EncoderCard::hashes(folder, &["weights.safetensors"])?,
///     threshold: Some(0.3),
///     not_converged: None,
///     network: BaselineConfig::named("pu-a").ok_or("no such network")?,
///     input: ScanInput { size: [64; 3], spacing: 5.0, ..ScanInput::default() },
///     training: Training {
///         method: "pu-a".to_owned(),
///         data: "made scans".to_owned(),
///         seed: 0,
///         steps: 100,
///         images: 800,
///         batch_norm: "running means of the training".to_owned(),
///         recipe_sha256: "0".repeat(64),
///         hounsfield: "0.1.0".to_owned(),
///         libtorch: "2.13.0".to_owned(),
///         started_from: None,
///     },
/// };
/// card.write(folder)?;
/// assert_eq!(ClassifierCard::load(folder)?.card, card);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClassifierCard {
    /// Version of this format, see [`ClassifierCard::SCHEMA`].
    pub schema: u32,
    /// What it is called; the name of its column of scores.
    pub name: String,
    /// What it is, in a sentence.
    pub description: String,
    /// Under what terms it may be used.
    pub licence: String,
    /// Label of the positive class.
    pub positive: String,
    /// Labels of the negative class; all others where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub negative: Option<Vec<String>>,
    /// The file of weights beside the card.
    pub weights: PathBuf,
    /// SHA-256 of every file beside the card, by its name.
    pub sha256: BTreeMap<String, String>,
    /// Scores from here on are called positive: chosen on the validation set; none where there was none of both classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Why the training must be taken for one that did not converge; none where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_converged: Option<String>,
    /// The network.
    pub network: BaselineConfig,
    /// What a scan must go through.
    pub input: ScanInput,
    /// How it was trained.
    pub training: Training,
}

/// A card that was read, and whose files were found to be those that it lists.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedClassifier {
    /// What it says.
    pub card: ClassifierCard,
    /// Where it and its files are.
    pub folder: PathBuf,
    /// SHA-256 of the card itself.
    pub sha256: String,
}

impl ClassifierCard {
    /// The version of the format that this program reads and writes.
    pub const SCHEMA: u32 = 1;

    /// The folder of a run folder that holds the trained network and its card.
    pub const FOLDER: &str = "classifier";

    /// Reads a card, by its folder or its file, and checks it and the files that it lists.
    ///
    /// # Errors
    ///
    /// A card that is not understood or contradicts itself, a file that is missing or another than the card lists.
    pub fn load(path: &Path) -> Result<CheckedClassifier, CardError> {
        let read = files::read::<Self>(CardKind::Classifier, path)?;
        read.card.check(&read.folder)?;
        Ok(CheckedClassifier {
            card: read.card,
            folder: read.folder,
            sha256: read.sha256,
        })
    }

    /// The folder of a card: the one that is named, or `classifier` in it where that is the run folder of a training.
    pub fn folder(named: &Path) -> PathBuf {
        let within = named.join(Self::FOLDER);
        match !named.join(CLASSIFIER).is_file() && within.join(CLASSIFIER).is_file() {
            true => within,
            false => named.to_owned(),
        }
    }

    /// Writes the card beside its files.
    ///
    /// # Errors
    ///
    /// As [`ClassifierCard::load`]: what could not be read back is not written.
    pub fn write(&self, folder: &Path) -> Result<(), CardError> {
        self.check(folder)?;
        let what = "what the weights in this folder are, what scans must go through and what a score means";
        let usage = "Scans are scored with\n\n    hounsfield predict-volume FOLDER SCANS --out predictions.parquet";
        files::write(CardKind::Classifier, self, what, usage, folder)
    }

    /// Whether the card agrees with itself and with the files beside it.
    fn check(&self, folder: &Path) -> Result<(), CardError> {
        let (kind, card) = (CardKind::Classifier, || self.name.clone());
        let mut words = vec![
            ("name", &self.name),
            ("description", &self.description),
            ("licence", &self.licence),
            ("positive", &self.positive),
        ];
        words.extend(self.not_converged.as_ref().map(|why| ("not_converged", why)));
        check_words(kind, &self.name, &words)?;
        if let Some(found) = self.threshold.filter(|threshold| !threshold.is_finite()) {
            return Err(CardError::Threshold { card: card(), found });
        }
        let refused = |source| CardError::Input { card: card(), source };
        self.input.check().map_err(refused)?;
        let refused = |source| CardError::Network { card: card(), source };
        self.network.check(self.input.size).map_err(refused)?;
        check_names(kind, &self.name, &self.sha256)?;
        if !self.sha256.keys().any(|file| Path::new(file) == self.weights) {
            return Err(CardError::NotListed {
                kind,
                card: card(),
                weights: self.weights.clone(),
            });
        }
        let check = |(file, listed): (&String, &String)| check_file(kind, &self.name, folder, file, Some(listed));
        self.sha256.iter().try_for_each(check)
    }
}

impl CheckedClassifier {
    /// Where the weights are.
    pub fn weights(&self) -> PathBuf {
        self.folder.join(&self.card.weights)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::EncoderCard, *};

    const WEIGHTS: &str = "classifier.safetensors";

    fn made() -> (tempfile::TempDir, ClassifierCard) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(WEIGHTS), "weights").unwrap();
        let card = ClassifierCard {
            schema: ClassifierCard::SCHEMA,
            name: "made".to_owned(),
            description: "nothing was trained".to_owned(),
            licence: "CC0-1.0".to_owned(),
            positive: "covid".to_owned(),
            negative: Some(vec!["cap".to_owned()]),
            weights: WEIGHTS.into(),
            sha256: EncoderCard::hashes(folder.path(), &[WEIGHTS]).unwrap(),
            threshold: Some(0.3022),
            not_converged: Some("the loss is flat".to_owned()),
            network: BaselineConfig::named("pu-b").unwrap(),
            input: ScanInput::default(),
            training: Training {
                method: "pu-b".to_owned(),
                data: "none".to_owned(),
                seed: 7,
                steps: 1000,
                images: 8000,
                batch_norm: "running means of the training".to_owned(),
                recipe_sha256: "0".repeat(64),
                hounsfield: "0.1.0".to_owned(),
                libtorch: "2.13.0".to_owned(),
                started_from: None,
            },
        };
        (folder, card)
    }

    fn refusal(card: &ClassifierCard, folder: &Path) -> String {
        let said = card.write(folder).expect_err("the card was written").to_string();
        assert!(!folder.join(CLASSIFIER).exists());
        said
    }

    #[test]
    fn what_was_written_is_read_back_by_folder_and_by_file() {
        let (folder, card) = made();
        card.write(folder.path()).unwrap();
        let read = ClassifierCard::load(folder.path()).unwrap();
        assert_eq!(read.card, card);
        assert_eq!(read.weights(), folder.path().join(WEIGHTS));
        assert_eq!(ClassifierCard::load(&folder.path().join(CLASSIFIER)).unwrap(), read);
        let text = std::fs::read_to_string(folder.path().join(CLASSIFIER)).unwrap();
        assert!(text.starts_with("# Classifier card: what the weights"), "{text}");
        assert!(text.contains("#     hounsfield predict-volume FOLDER"), "{text}");
    }

    #[test]
    fn a_card_of_weights_that_never_saw_a_validation_set_has_no_threshold() {
        let (folder, mut card) = made();
        (card.threshold, card.not_converged) = (None, None);
        card.write(folder.path()).unwrap();
        assert_eq!(ClassifierCard::load(folder.path()).unwrap().card, card);
    }

    #[test]
    fn a_file_that_is_another_or_gone_is_named_with_a_way_out() {
        let (folder, card) = made();
        card.write(folder.path()).unwrap();
        let load = || ClassifierCard::load(folder.path()).unwrap_err().to_string();
        std::fs::write(folder.path().join(WEIGHTS), "others").unwrap();
        assert!(
            load().contains("classifier card `made` lists") && load().contains("damaged"),
            "{}",
            load()
        );
        std::fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
        assert!(load().contains("which is not beside it"), "{}", load());
        std::fs::remove_file(folder.path().join(CLASSIFIER)).unwrap();
        assert!(
            load().contains("the classifier card can't be read") && load().contains("`classifier.toml`"),
            "{}",
            load()
        );
    }

    #[test]
    fn a_card_that_contradicts_itself_is_not_written() {
        let (folder, card) = made();
        let with = |change: &dyn Fn(&mut ClassifierCard)| {
            let mut wrong = card.clone();
            change(&mut wrong);
            refusal(&wrong, folder.path())
        };
        assert!(with(&|card| card.positive = " ".to_owned()).contains("`positive` of classifier card `made` is empty"));
        assert!(with(&|card| card.not_converged = Some(String::new())).contains("`not_converged`"));
        assert!(with(&|card| card.threshold = Some(f64::NAN)).contains("`threshold` of classifier card `made` is NaN"));
        assert!(with(&|card| card.weights = "../other".into()).contains("no SHA-256"));
        let led_out = |card: &mut ClassifierCard| {
            card.sha256.insert("../x".to_owned(), "0".repeat(64));
        };
        assert!(with(&led_out).contains("no plain file name"));
        let no_input = with(&|card| card.input.spacing = 0.0);
        assert!(
            no_input.contains("classifier card `made`: ") && no_input.contains("spacing"),
            "{no_input}"
        );
        let small = with(&|card| card.input.size = [16, 256, 256]);
        assert!(
            small.contains("classifier card `made`: ") && small.contains("16 x 256 x 256"),
            "{small}"
        );
    }

    #[test]
    fn other_versions_and_unknown_keys_are_refused() {
        let (folder, card) = made();
        let path = folder.path().join(CLASSIFIER);
        let text = toml::to_string(&card).unwrap();
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            ClassifierCard::load(&path).unwrap_err().to_string()
        };
        let newer = said(&text.replace("schema = 1", "schema = 2\nmerits = 'many'"));
        assert!(newer.contains("classifier card is of version 2"), "{newer}");
        let unknown = said(&format!("licenze = 'CC0'\n{text}"));
        assert!(unknown.contains("licenze") && unknown.contains("line 1"), "{unknown}");
    }
}
