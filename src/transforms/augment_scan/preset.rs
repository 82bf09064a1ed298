//! Changes of scans by name, and how a recipe states one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    super::{
        AugmentError, Blur, Noise,
        preset::{Preset, name_or_table},
    },
    ScanAugment,
};

impl ScanAugment {
    /// The presets, weakest first.
    pub const NAMES: [&str; 3] = ["none", "light", "pu2020"];

    /// One of the presets:
    ///
    /// - `none`: scans stay as they are;
    /// - `light`: small moves, a small shift of HU, half of the scans with left and right exchanged. The numbers are ours;
    /// - `pu2020`: what Pu et al. 2020 (doi:10.1007/s00330-020-06956-w) list: rotation, translation, vertical and horizontal flips,
    ///   HU shift in [-25, 25], smoothing and Gaussian noise. Only the 25 HU are printed, and all other sizes are ours: 10
    ///   degrees about each axis, 15 mm, flips of half of the scans along H and of half along W (which axes the paper's vertical and
    ///   horizontal are is not said), smoothing of up to 1 voxel and noise of up to 25 HU in half of the scans each.
    pub fn named(name: &str) -> Option<Self> {
        let off = Self::default();
        match name {
            "none" => Some(off),
            "light" => Some(Self {
                flip: [0.0, 0.0, 0.5],
                rotate: [5.0; 3],
                translate: 8.0,
                scale: 0.05,
                hu_shift: 10.0,
                ..off
            }),
            "pu2020" => Some(Self {
                flip: [0.0, 0.5, 0.5],
                rotate: [10.0; 3],
                translate: 15.0,
                hu_shift: 25.0,
                blur: Some(Blur {
                    probability: 0.5,
                    sigma: [0.0, 1.0],
                }),
                noise: Some(Noise {
                    probability: 0.5,
                    sigma: [0.0, 25.0],
                }),
                ..off
            }),
            _ => None,
        }
    }
}

impl Serialize for ScanAugment {
    /// By its numbers, so that a name and its numbers are one recipe.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived one, which `remote` leaves beside the trait.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ScanAugment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name_or_table(deserializer)
    }
}

impl Preset for ScanAugment {
    const PRESETS: &'static [&'static str] = &Self::NAMES;
    const TABLE: &'static str = "{ rotate = [5, 5, 5] }";

    fn preset(name: &str) -> Option<Self> {
        Self::named(name)
    }

    fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::deserialize(deserializer)
    }

    fn possible(&self) -> Result<(), AugmentError> {
        self.check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Recipe {
        augment: ScanAugment,
    }

    fn parse(text: &str) -> Result<ScanAugment, String> {
        let recipe = toml::from_str::<Recipe>(text);
        recipe.map(|recipe| recipe.augment).map_err(|error| error.to_string())
    }

    #[test]
    fn names_and_their_numbers_are_one_recipe() {
        for name in ScanAugment::NAMES {
            let named = parse(&format!("augment = '{name}'")).unwrap();
            assert_eq!(Some(&named), ScanAugment::named(name).as_ref());
            let text = toml::to_string(&Recipe { augment: named.clone() }).unwrap();
            assert!(!text.contains(name), "{text}");
            assert_eq!(parse(&text).unwrap(), named);
            let json = serde_json::to_string(&named).unwrap();
            assert_eq!(serde_json::from_str::<ScanAugment>(&json).unwrap(), named);
        }
    }

    #[test]
    fn a_table_has_defaults_and_an_empty_one_is_none() {
        let table = parse("augment = { rotate = [5, 0, 0], noise = { probability = 1 } }").unwrap();
        assert_eq!(table.rotate, [5.0, 0.0, 0.0]);
        assert_eq!(table.noise.unwrap().sigma, [0.0, 25.0]);
        assert_eq!(table.blur, None);
        assert_eq!(parse("augment = {}").unwrap(), ScanAugment::default());
    }

    #[test]
    fn unknown_names_and_keys_and_impossible_tables_are_refused() {
        for (text, word) in [
            ("augment = 'views'", "pu2020"),
            ("augment = { crop = 5 }", "crop"),
            ("augment = { rotate = 5 }", "rotate"),
            ("augment = { flip = [0, 0, 2] }", "flip[2] is 2"),
            (
                "augment = 3",
                "\"none\", \"light\", \"pu2020\" or a table such as { rotate = [5, 5, 5] }",
            ),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
