//! The card of an encoder: the file `encoder.toml` that stands beside trained weights and says how to use them. A classifier of
//! whole scans has one too, `classifier.toml`.
//!
//! Weights alone do not say which switches they were trained under, which window their slices had, or which of the
//! network's outputs were trained at all, and each of these gives wrong features without an error. After timm's
//! `PretrainedCfg`, <https://github.com/huggingface/pytorch-image-models/blob/main/timm/models/_pretrained.py>.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{
    encoder::{EncoderConfig, Layer, Weights},
    method::Generator,
    tables::sha256_file,
    transforms::Preprocess,
};

mod error;
mod fetch;
mod files;
mod volume;

pub use error::CardError;
pub use fetch::FetchedCard;
pub use files::CardKind;
pub use volume::{CLASSIFIER, CheckedClassifier, ClassifierCard};

/// The card's name in the folder of its weights.
pub const FILE: &str = "encoder.toml";

/// What trained weights are and how they are used. Whatever is not known is said in words, not left out.
///
/// ```
/// use hounsfield::{card::EncoderCard, encoder::{EncoderConfig, Layer}, transforms::Preprocess};
/// # let folder = tempfile::tempdir()?;
/// # let folder = folder.path();
/// # std::fs::write(folder.join("weights.safetensors"), "")?;
/// let encoder: EncoderConfig = toml::from_str("kind = 'bigbigan-resnet-tiny'\nweights = 'weights.safetensors'")?;
/// let card = EncoderCard {
///     schema: EncoderCard::SCHEMA,
///     name: "mine".to_owned(),
///     description: "a small BigBiGAN on made CT".to_owned(),
///     licence: "CC0-1.0".to_owned(),
///     source: "trained with `hounsfield pretrain`".to_owned(),
///     obtain: None,
///     layers: EncoderCard::widths(&encoder, &[Layer::ZMean, Layer::AvepoolFeat]),
///     sha256: EncoderCard::hashes(folder, &["weights.safetensors"])?,
///     encoder,
///     preprocess: Preprocess::default(),
///     training: None,
///     generator: None,
///     conversion: None,
/// };
/// card.write(folder)?;
/// assert_eq!(EncoderCard::load(folder)?.card.layers[&Layer::ZMean], 12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EncoderCard {
    /// Version of this format, see [`EncoderCard::SCHEMA`].
    pub schema: u32,
    /// What the weights are called, e.g. `bigbigan-ct-tiny`.
    pub name: String,
    /// What they are, in a sentence.
    pub description: String,
    /// Under what terms they may be used.
    pub licence: String,
    /// Who made them, and how.
    pub source: String,
    /// The command that makes or fetches the weights, for a card that is given away without them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub obtain: Option<String>,
    /// The network; its weights are a file beside the card.
    pub encoder: EncoderConfig,
    /// What a slice must go through to be what the network was trained on.
    pub preprocess: Preprocess,
    /// The layers that mean something for these weights, with their widths. A method that trains no posterior leaves its
    /// standard deviation and draws from it out.
    pub layers: BTreeMap<Layer, usize>,
    /// SHA-256 of every file of weights beside the card, by its name.
    pub sha256: BTreeMap<String, String>,
    /// How they were trained; none where that was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training: Option<Training>,
    /// The generator that was trained with the encoder, for reconstructions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generator: Option<GeneratorEntry>,
    /// How they were converted from another program's file; none where they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conversion: Option<Conversion>,
}

/// `[generator]`: its weights, a file beside the card, and its sizes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GeneratorEntry {
    /// The file.
    pub weights: PathBuf,
    /// The network.
    pub network: Generator,
}

/// `[training]`: how weights came to be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Training {
    /// The method, e.g. `bigbigan` or `lejepa`.
    pub method: String,
    /// The slices, in words: data sets, patients, what was left out.
    pub data: String,
    /// Seed of the training.
    pub seed: u64,
    /// Steps of the optimiser.
    pub steps: u64,
    /// Slices seen, each as often as it was.
    pub images: u64,
    /// What the running statistics of batch norms are of, in words.
    pub batch_norm: String,
    /// SHA-256 of the training's recipe.
    pub recipe_sha256: String,
    /// Version of the program.
    pub hounsfield: String,
    /// Version of libtorch.
    pub libtorch: String,
    /// SHA-256 of the weights that the training went on from; none where it began from random ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_from: Option<String>,
}

/// `[conversion]`: how weights were taken over from another program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conversion {
    /// Which of the other program's values the encoder's weights are, in words.
    pub weights: String,
    /// How variables were told apart, in words.
    pub names: String,
    /// What accumulated statistics of batch norms were divided by, for each network.
    pub statistics_divided_by: String,
    /// Version of the program.
    pub hounsfield: String,
    /// What no source settles about the network, by the switch's name: the evidence it was settled on, or that there was none.
    pub settled: BTreeMap<String, String>,
    /// SHA-256 of the other program's files, by name.
    pub files: BTreeMap<String, String>,
}

/// A card that was read, and whose files were found to be those that it lists.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedCard {
    /// What it says.
    pub card: EncoderCard,
    /// Where it and its files are.
    pub folder: PathBuf,
    /// SHA-256 of the card itself.
    pub sha256: String,
}

impl EncoderCard {
    /// The version of the format that this program reads and writes.
    pub const SCHEMA: u32 = 1;

    /// The widths of layers, as [`EncoderCard::layers`] has them. One that the encoder has not is 0 wide, and no card with it
    /// is written.
    pub fn widths(encoder: &EncoderConfig, layers: &[Layer]) -> BTreeMap<Layer, usize> {
        let width = |layer: &Layer| (*layer, encoder.width(*layer).unwrap_or(0));
        layers.iter().map(width).collect()
    }

    /// The hashes of files in a folder, as [`EncoderCard::sha256`] has them.
    ///
    /// # Errors
    ///
    /// A file that can't be read.
    pub fn hashes(folder: &Path, files: &[&str]) -> Result<BTreeMap<String, String>, CardError> {
        let hash = |file: &&str| Ok(((*file).to_owned(), sha256_file(&folder.join(file))?));
        files.iter().map(hash).collect()
    }

    /// Reads a card, by its folder or its file, and checks it and the files that it lists.
    ///
    /// # Errors
    ///
    /// A card that is not understood or contradicts itself, a file that is missing or another than the card lists.
    pub fn load(path: &Path) -> Result<CheckedCard, CardError> {
        let read = files::read::<Self>(CardKind::Encoder, path)?;
        read.card.check()?;
        read.card.check_files(&read.folder)?;
        Ok(CheckedCard {
            card: read.card,
            folder: read.folder,
            sha256: read.sha256,
        })
    }

    /// Reads a card, by its folder or its file, without a look at the files that it lists.
    ///
    /// # Errors
    ///
    /// A card that is not understood or contradicts itself.
    pub fn read(path: &Path) -> Result<Self, CardError> {
        let card = files::read::<Self>(CardKind::Encoder, path)?.card;
        card.check()?;
        Ok(card)
    }

    /// The card of a folder that still waits for its weights; none where there is no card, or one that has them.
    ///
    /// # Errors
    ///
    /// As [`EncoderCard::read`].
    pub fn waiting(folder: &Path) -> Result<Option<Self>, CardError> {
        if !folder.join(FILE).is_file() {
            return Ok(None);
        }
        Ok(Some(Self::read(folder)?).filter(|card| card.obtain.is_some()))
    }

    /// Writes the card beside its files, with every switch of the encoder written out: the defaults of a later version
    /// can't change what these weights compute.
    ///
    /// # Errors
    ///
    /// As [`EncoderCard::load`]: what could not be read back is not written.
    pub fn write(&self, folder: &Path) -> Result<(), CardError> {
        self.check()?;
        self.check_files(folder)?;
        let card = Self {
            encoder: self.encoder.clone().spelled_out(),
            ..self.clone()
        };
        let head = "what the weights in this folder are and how they are used";
        let usage = "A study takes network, weights and preprocessing from here with\n\n    [encoder]\n    kind = \"card\"\n    \
                     path = \"FOLDER\"  # this folder, relative to the study's file";
        files::write(CardKind::Encoder, &card, head, usage, folder)
    }

    /// Checks that the layers are among those that mean something for these weights.
    ///
    /// # Errors
    ///
    /// [`CardError::Layer`] for the first that is not.
    pub fn require(&self, layers: &[Layer]) -> Result<(), CardError> {
        match layers.iter().find(|layer| !self.layers.contains_key(layer)) {
            None => Ok(()),
            Some(&layer) => Err(CardError::Layer {
                card: self.name.clone(),
                layer,
                listed: self.layers.keys().copied().collect(),
            }),
        }
    }

    /// Whether the card agrees with itself.
    fn check(&self) -> Result<(), CardError> {
        let card = || self.name.clone();
        let words = [
            ("name", &self.name),
            ("description", &self.description),
            ("licence", &self.licence),
            ("source", &self.source),
        ];
        files::check_words(CardKind::Encoder, &self.name, &words)?;
        let refused = |source| CardError::Encoder { card: card(), source };
        self.encoder.check().map_err(refused)?;
        let planes = self.preprocess.check_planes(self.encoder.planes());
        planes.map_err(|source| CardError::Preprocess { card: card(), source })?;
        if self.layers.is_empty() {
            return Err(CardError::NoLayers { card: card() });
        }
        for (&layer, &found) in &self.layers {
            let expected = self.encoder.width(layer).map_err(refused)?;
            if found != expected {
                return Err(CardError::Width {
                    card: card(),
                    layer,
                    found,
                    expected,
                });
            }
        }
        files::check_names(CardKind::Encoder, &self.name, &self.sha256)?;
        let Weights::File(weights) = self.encoder.weights() else {
            return Err(CardError::Random { card: card() });
        };
        let unlisted =
            |path: &&PathBuf| !self.lists(path) && (self.obtain.is_none() || !files::is_name(&path.to_string_lossy()));
        let generator = self.generator.as_ref().map(|generator| &generator.weights);
        match std::iter::once(weights).chain(generator).find(unlisted) {
            None => Ok(()),
            Some(path) => Err(CardError::NotListed {
                kind: CardKind::Encoder,
                card: card(),
                weights: path.clone(),
            }),
        }
    }

    /// Whether a file is one of those whose hashes are known.
    pub fn lists(&self, path: &Path) -> bool {
        self.sha256.keys().any(|file| Path::new(file) == path)
    }

    /// The names of all files that stand beside the card, those without a known hash too.
    pub fn files(&self) -> Vec<String> {
        let mut files: Vec<String> = self.sha256.keys().cloned().collect();
        let encoder = match self.encoder.weights() {
            Weights::File(path) => Some(path),
            Weights::Random => None,
        };
        let generator = self.generator.as_ref().map(|generator| &generator.weights);
        for path in encoder.into_iter().chain(generator).filter(|path| !self.lists(path)) {
            files.push(path.to_string_lossy().into_owned());
        }
        files
    }

    /// Whether every file is there, and is the one that was listed.
    fn check_files(&self, folder: &Path) -> Result<(), CardError> {
        for file in self.files() {
            if let Some(command) = self.obtain.clone()
                && !folder.join(&file).is_file()
            {
                return Err(CardError::NotHere {
                    card: self.name.clone(),
                    path: folder.join(&file),
                    file,
                    command,
                });
            }
            // Weights that whoever has the card makes may differ by their making.
            files::check_file(CardKind::Encoder, &self.name, folder, &file, self.sha256.get(&file))?;
        }
        Ok(())
    }
}

impl CheckedCard {
    /// The network, with its weights where they are.
    pub fn encoder(&self) -> EncoderConfig {
        let mut encoder = self.card.encoder.clone();
        if let Weights::File(path) = encoder.weights_mut() {
            *path = self.folder.join(&*path);
        }
        encoder
    }

    /// `[encoder]` and `[preprocess]` of a study that uses these weights without the card, or the same network with
    /// others, such as `weights = "random"` for a baseline.
    pub fn study_lines(&self) -> String {
        #[derive(Serialize)]
        struct Lines<'a> {
            encoder: EncoderConfig,
            preprocess: &'a Preprocess,
        }
        let lines = Lines {
            encoder: self.encoder(),
            preprocess: &self.card.preprocess,
        };
        toml::to_string(&lines).expect("what was read from TOML can be written")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        encoder::{Padding, TinyResNet},
        tables::sha256_bytes,
    };

    const WEIGHTS: &str = "weights.safetensors";

    /// A folder with files that are called weights, and the card of them.
    fn made() -> (tempfile::TempDir, EncoderCard) {
        let folder = tempfile::tempdir().unwrap();
        let files = [WEIGHTS, "generator.safetensors"];
        for file in files {
            std::fs::write(folder.path().join(file), file).unwrap();
        }
        let encoder = EncoderConfig::TinyResNet(TinyResNet {
            weights: Weights::File(WEIGHTS.into()),
            ..TinyResNet::default()
        });
        let card = EncoderCard {
            schema: EncoderCard::SCHEMA,
            name: "made".to_owned(),
            description: "nothing was trained".to_owned(),
            licence: "CC0-1.0".to_owned(),
            source: "a test".to_owned(),
            obtain: None,
            layers: EncoderCard::widths(&encoder, &[Layer::ZMean, Layer::BnCreluFeat]),
            sha256: EncoderCard::hashes(folder.path(), &files).unwrap(),
            encoder,
            preprocess: Preprocess::default(),
            training: Some(Training {
                method: "lejepa".to_owned(),
                data: "none".to_owned(),
                seed: 7,
                steps: 1000,
                images: 32_000,
                batch_norm: "running means of the training".to_owned(),
                recipe_sha256: "0".repeat(64),
                hounsfield: "0.1.0".to_owned(),
                libtorch: "2.13.0".to_owned(),
                started_from: None,
            }),
            generator: Some(GeneratorEntry {
                weights: "generator.safetensors".into(),
                network: Generator::default(),
            }),
            conversion: None,
        };
        (folder, card)
    }

    fn refusal(card: &EncoderCard, folder: &Path) -> String {
        card.write(folder).expect_err("the card was written").to_string()
    }

    #[test]
    fn what_was_written_is_read_back_by_folder_and_by_file() {
        let (folder, card) = made();
        card.write(folder.path()).unwrap();
        let read = EncoderCard::load(folder.path()).unwrap();
        let written_out = EncoderCard {
            encoder: card.encoder.clone().spelled_out(),
            ..card
        };
        assert_eq!(read.card, written_out);
        assert_eq!(EncoderCard::load(&folder.path().join(FILE)).unwrap(), read);
        assert_eq!(
            read.encoder().weights(),
            &Weights::File(folder.path().join("weights.safetensors"))
        );
        read.card.write(folder.path()).unwrap();
        assert_eq!(EncoderCard::load(folder.path()).unwrap(), read);
    }

    #[test]
    fn the_file_says_what_it_is_and_every_switch() {
        let (folder, card) = made();
        card.write(folder.path()).unwrap();
        let text = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(
            text.starts_with("# Encoder card") && text.contains("#     kind = \"card\""),
            "{text}"
        );
        for switch in ["padding", "pool_pad", "last_relu", "bn_eps", "halves", "shortcut_from"] {
            assert!(text.contains(&format!("\n{switch} = ")), "{switch} is not in {text}");
        }
        assert!(text.contains("\nz_mean = 12\nbn_crelu_feat = 256\n"), "{text}");
    }

    #[test]
    fn the_lines_for_a_study_are_the_cards_network_and_preprocessing() {
        let (folder, card) = made();
        card.write(folder.path()).unwrap();
        let read = EncoderCard::load(folder.path()).unwrap();
        let lines: toml::Table = toml::from_str(&read.study_lines()).unwrap();
        assert_eq!(
            lines["encoder"].clone().try_into::<EncoderConfig>().unwrap(),
            read.encoder()
        );
        assert_eq!(
            lines["preprocess"].clone().try_into::<Preprocess>().unwrap(),
            card.preprocess
        );
    }

    #[test]
    fn a_file_that_is_another_or_gone_is_named_with_a_way_out() {
        let (folder, card) = made();
        card.write(folder.path()).unwrap();
        let load = || EncoderCard::load(folder.path()).unwrap_err().to_string();
        std::fs::write(folder.path().join(WEIGHTS), "others").unwrap();
        let other = load();
        for words in [
            "`weights.safetensors`",
            &sha256_bytes(b"others")[..12],
            &card.sha256[WEIGHTS][..12],
            "fetch",
        ] {
            assert!(other.contains(words), "{words:?} is not in {other}");
        }
        assert!(!other.contains(&card.sha256[WEIGHTS][..13]), "{other}");
        std::fs::remove_file(folder.path().join(WEIGHTS)).unwrap();
        assert!(
            load().contains("lists `weights.safetensors`, which is not beside it"),
            "{}",
            load()
        );
        std::fs::remove_file(folder.path().join(FILE)).unwrap();
        assert!(load().contains("`encoder.toml`"), "{}", load());
    }

    #[test]
    fn a_card_without_weights_says_how_they_are_obtained() {
        let (folder, mut card) = made();
        card.sha256.remove(WEIGHTS);
        assert!(matches!(card.check(), Err(CardError::NotListed { .. })));
        card.obtain = Some("hounsfield convert tfhub URL".to_owned());
        card.write(folder.path()).unwrap();
        assert_eq!(card.files(), ["generator.safetensors", WEIGHTS]);
        assert_eq!(EncoderCard::load(folder.path()).unwrap().card.obtain, card.obtain);
        for file in [WEIGHTS, "generator.safetensors"] {
            std::fs::remove_file(folder.path().join(file)).unwrap();
            let said = EncoderCard::load(folder.path()).unwrap_err().to_string();
            assert!(said.contains(&format!("`{file}`")), "{said}");
            assert!(said.contains("`hounsfield convert tfhub URL`"), "{said}");
        }
        assert_eq!(EncoderCard::read(folder.path()).unwrap().name, "made");
        *card.encoder.weights_mut() = Weights::File("../other.safetensors".into());
        assert!(matches!(card.check(), Err(CardError::NotListed { .. })));
    }

    #[test]
    fn a_card_that_contradicts_itself_is_neither_written_nor_read() {
        let (folder, card) = made();
        let mut wrong = card.clone();
        wrong.layers.insert(Layer::ZMean, 120);
        let said = refusal(&wrong, folder.path());
        assert!(
            said.contains("`z_mean` is 120 wide") && said.contains("makes 12"),
            "{said}"
        );

        let mut wrong = card.clone();
        wrong.layers.clear();
        assert!(matches!(wrong.check(), Err(CardError::NoLayers { .. })));

        let mut wrong = card.clone();
        wrong.licence = " ".to_owned();
        assert!(refusal(&wrong, folder.path()).contains("`licence`"));

        let mut wrong = card.clone();
        *wrong.encoder.weights_mut() = Weights::Random;
        assert!(matches!(wrong.check(), Err(CardError::Random { .. })));
        *wrong.encoder.weights_mut() = Weights::File("other.safetensors".into());
        assert!(refusal(&wrong, folder.path()).contains("other.safetensors"));

        for file in ["../weights.safetensors", "/etc/hostname", "..", "a/b"] {
            let mut wrong = card.clone();
            wrong.sha256.insert(file.to_owned(), "0".repeat(64));
            assert!(matches!(wrong.check(), Err(CardError::FileName { .. })), "{file}");
        }

        let mut wrong = card.clone();
        wrong.encoder = EncoderConfig::TinyResNet(TinyResNet {
            input_size: 72,
            weights: Weights::File(WEIGHTS.into()),
            ..TinyResNet::default()
        });
        assert!(refusal(&wrong, folder.path()).contains("72"));
        assert!(!folder.path().join(FILE).exists());
    }

    #[test]
    fn a_layer_that_the_encoder_has_not_is_no_layer_of_its_card() {
        let (folder, mut card) = made();
        card.layers = EncoderCard::widths(&card.encoder, &[Layer::ZMean, Layer::ClsToken]);
        let said = refusal(&card, folder.path());
        assert!(said.contains("no layer `cls_token`"), "{said}");
    }

    #[test]
    fn other_versions_and_unknown_keys_are_refused() {
        let (folder, card) = made();
        let path = folder.path().join(FILE);
        let text = toml::to_string(&card).unwrap();
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            EncoderCard::load(&path).unwrap_err().to_string()
        };
        let newer = said(&text.replace("schema = 1", "schema = 2\nmerits = 'many'"));
        assert!(newer.contains("version 2") && newer.contains("version 1"), "{newer}");
        let unknown = said(&format!("licenze = 'CC0'\n{text}"));
        assert!(unknown.contains("licenze") && unknown.contains("line 1"), "{unknown}");
        assert!(said(&text.replace("schema = 1\n", "")).contains("schema"));
        assert!(said(&text.replace("z_mean", "z_median")).contains("z_median"));
    }

    #[test]
    fn a_layer_that_is_not_listed_is_refused_with_those_that_are() {
        let (_folder, card) = made();
        card.require(&[Layer::BnCreluFeat, Layer::ZMean]).unwrap();
        let said = card.require(&[Layer::ZMean, Layer::ZStdev]).unwrap_err().to_string();
        for words in ["`z_stdev`", "`z_mean`, `bn_crelu_feat`"] {
            assert!(said.contains(words), "{words:?} is not in {said}");
        }
    }

    #[test]
    fn writing_a_card_changes_no_arithmetic() {
        for padding in [Padding::Fixed, Padding::Same] {
            let mut config = TinyResNet::default();
            config.switches.padding = padding;
            let config = EncoderConfig::TinyResNet(config);
            let written_out = config.clone().spelled_out();
            assert_eq!(written_out.architecture().unwrap(), config.architecture().unwrap());
        }
    }
}
