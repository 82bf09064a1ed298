//! Augmentations by name, and how a recipe states one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    super::preset::{Preset, name_or_table},
    Augment, AugmentError, Blur, Crop, Noise,
};

impl Augment {
    /// The presets, weakest first.
    pub const NAMES: [&str; 4] = ["none", "light", "pu2020", "views"];

    /// One of the presets:
    ///
    /// - `none`: slices stay as they are;
    /// - `light`: for a generative model, which learns to draw whatever it is shown: small moves, half of the slices
    ///   mirrored, a small shift of HU. The numbers are ours;
    /// - `pu2020`: what Pu et al. 2020 (doi:10.1007/s00330-020-06956-w) list for their volumes, here on slices:
    ///   rotation, translation, both flips, HU shift of up to 25, smoothing and Gaussian noise. Only the 25 HU are
    ///   theirs; no other size is printed, and so all others are ours;
    /// - `views`: two strong views of one slice for joint-embedding methods: a crop of 0.3 to all of the area, one
    ///   flip, small rotation, contrast, HU shift, smoothing and noise. The numbers are ours.
    pub fn named(name: &str) -> Option<Self> {
        let off = Self::default();
        match name {
            "none" => Some(off),
            "light" => Some(Self {
                flip_horizontal: 0.5,
                rotate: 5.0,
                translate: 0.03,
                crop: Some(Crop {
                    area: [0.85, 1.0],
                    aspect: [0.95, 1.0 / 0.95],
                }),
                hu_shift: 10.0,
                ..off
            }),
            "pu2020" => Some(Self {
                flip_horizontal: 0.5,
                flip_vertical: 0.5,
                rotate: 15.0,
                translate: 0.1,
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
            "views" => Some(Self {
                flip_horizontal: 0.5,
                rotate: 10.0,
                crop: Some(Crop {
                    area: [0.3, 1.0],
                    ..Crop::default()
                }),
                gain: 0.2,
                hu_shift: 50.0,
                blur: Some(Blur {
                    probability: 0.5,
                    sigma: [0.1, 1.5],
                }),
                noise: Some(Noise {
                    probability: 0.5,
                    sigma: [0.0, 40.0],
                }),
                ..off
            }),
            _ => None,
        }
    }
}

impl Serialize for Augment {
    /// By its numbers, so that a name and its numbers are one recipe.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // The derived one, which `remote` leaves beside the trait.
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for Augment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        name_or_table(deserializer)
    }
}

impl Preset for Augment {
    const PRESETS: &'static [&'static str] = &Self::NAMES;
    const TABLE: &'static str = "{ rotate = 5 }";

    fn preset(name: &str) -> Option<Self> {
        Self::named(name)
    }

    fn table<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derived one, which `remote` leaves beside the trait.
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
        augment: Augment,
    }

    fn parse(text: &str) -> Result<Augment, String> {
        let recipe = toml::from_str::<Recipe>(text);
        recipe.map(|recipe| recipe.augment).map_err(|error| error.to_string())
    }

    #[test]
    fn names_and_their_numbers_are_one_recipe() {
        for name in Augment::NAMES {
            let named = parse(&format!("augment = '{name}'")).unwrap();
            assert_eq!(Some(&named), Augment::named(name).as_ref());
            let text = toml::to_string(&Recipe { augment: named.clone() }).unwrap();
            assert!(!text.contains(name), "{text}");
            assert_eq!(parse(&text).unwrap(), named);
            let json = serde_json::to_string(&named).unwrap();
            assert_eq!(serde_json::from_str::<Augment>(&json).unwrap(), named);
        }
    }

    #[test]
    fn a_table_has_defaults_and_an_empty_one_is_none() {
        let table = parse("augment = { rotate = 5, crop = { area = [0.5, 1] }, noise = { probability = 1 } }").unwrap();
        assert_eq!(table.rotate, 5.0);
        assert_eq!(
            table.crop,
            Some(Crop {
                area: [0.5, 1.0],
                ..Crop::default()
            })
        );
        assert_eq!(table.noise.unwrap().sigma, [0.0, 25.0]);
        assert_eq!(parse("augment = {}").unwrap(), Augment::default());
    }

    #[test]
    fn unknown_names_and_keys_and_impossible_tables_are_refused() {
        for (text, word) in [
            ("augment = 'strong'", "views"),
            ("augment = { rotation = 5 }", "rotation"),
            ("augment = { crop = { size = 3 } }", "size"),
            ("augment = { rotate = 200 }", "rotate is 200"),
            ("augment = 3", "or a table"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}
