//! Images that show the same although their bytes differ: scaled, recompressed, windowed anew, or the next slice.
//!
//! Two images are alike where the details of their thumbnails correlate and their dHashes confirm it (see `thumbnail`).
//! Rotated, mirrored and strongly cropped copies are not found.

use ndarray::Array2;
use rayon::prelude::*;
use serde_json::json;

use super::{
    AuditError, Check, Finding, Listed, Material, Outcome, Settings, Severity, count, counted,
    identical::NO_IMAGES,
    similar::{Pair, Similar, pairs_above},
    thumbnail::{DETAILS, Fingerprint},
};

/// What this check does not see.
const NOT_FOUND: &str = "copies that are cropped, mirrored or rotated are not found";

/// Images of different patients, or in different sets, that are nearly one.
#[derive(Debug)]
pub struct NearDuplicateImages;

impl Check for NearDuplicateImages {
    fn name(&self) -> &'static str {
        "near-duplicate images"
    }

    fn run(&self, material: &Material, settings: &Settings) -> Result<Outcome, AuditError> {
        if material.paths.iter().all(Option::is_none) {
            return Ok(Outcome::CannotRun(NO_IMAGES.to_owned()));
        }
        if let Some(why) = settings.too_many(material.paths.iter().flatten().count(), "image") {
            return Ok(Outcome::CannotRun(why));
        }
        let seen: Vec<(usize, Fingerprint)> = (0..material.len())
            .into_par_iter()
            .filter_map(|row| {
                let path = material.paths[row].as_deref()?;
                match Fingerprint::read(path) {
                    Ok(fingerprint) => Some((row, fingerprint)),
                    Err(error) => {
                        tracing::debug!("row {}: {}", row + 1, error.without_path());
                        None
                    }
                }
            })
            .collect();
        let unread = material.paths.iter().flatten().count() - seen.len();
        if seen.is_empty() {
            let why = format!("none of {} could be read as an image", counted(unread, "file"));
            return Ok(Outcome::CannotRun(why));
        }
        let mut unit = Array2::zeros((seen.len(), DETAILS));
        for (mut target, (_, fingerprint)) in unit.rows_mut().into_iter().zip(&seen) {
            target.assign(&ndarray::ArrayView1::from(&fingerprint.detail));
        }
        let differ =
            |of: &[Option<usize>], rows: [usize; 2]| matches!((of[rows[0]], of[rows[1]]), (Some(a), Some(b)) if a != b);
        let of_one_patient = |rows: [usize; 2]| {
            material.patient[rows[0]].is_some() && material.patient[rows[0]] == material.patient[rows[1]]
        };
        let bits = |[a, b]: [usize; 2]| (seen[a].1.hash ^ seen[b].1.hash).count_ones();
        let rows_of = |[a, b]: [usize; 2]| [seen[a].0, seen[b].0];
        let wanted = |pair: [usize; 2]| {
            let rows = rows_of(pair);
            bits(pair) <= settings.hash_bits && (differ(&material.set, rows) || !of_one_patient(rows))
        };
        let Similar { pairs, beyond } = pairs_above(unit.view(), settings.likely as f32, wanted);
        let pairs: Vec<Pair> = pairs
            .into_iter()
            .map(|pair| Pair {
                rows: rows_of(pair.rows),
                ..pair
            })
            .collect();
        let certain = pairs.partition_point(|pair| f64::from(pair.cosine) >= settings.certain);
        let (certain, likely) = pairs.split_at(certain);
        let across: Vec<Pair> = certain
            .iter()
            .copied()
            .filter(|pair| differ(&material.set, pair.rows))
            .collect();
        let inside: Vec<Pair> = certain
            .iter()
            .copied()
            .filter(|pair| !differ(&material.set, pair.rows))
            .collect();
        let strangers = |pairs: &[Pair]| pairs.iter().filter(|pair| differ(&material.patient, pair.rows)).count();
        let numbers = json!({"images": seen.len(), "unreadable": unread, "certain_from": settings.certain,
            "likely_from": settings.likely, "hash_bits": settings.hash_bits,
            "certain_in_two_sets": across.len(), "certain_of_two_patients": strangers(certain),
            "certain": certain.len(), "likely": likely.len(), "counted_only": beyond,
            "likely_in_two_sets": likely.iter().filter(|pair| differ(&material.set, pair.rows)).count()});
        let patients = |pairs: &[Pair]| {
            if material.has_patients {
                format!(", {} of two patients", count(strangers(pairs)))
            } else {
                String::new()
            }
        };
        let (from, at) = (
            format!("details correlate from {:.2} on", settings.certain),
            format!("{:.2} to {:.2}", settings.likely, settings.certain),
        );
        let mut findings = Vec::new();
        if unread > 0 {
            let sentence = format!(
                "{} of {} could not be read as images and were not compared",
                count(unread),
                counted(unread + seen.len(), "file")
            );
            findings.push(
                Finding::new(self.name(), Severity::Serious, sentence, json!({"unreadable": unread}))
                    .next("look at them with `-v -v`; a file that is no image here will be none for an encoder"),
            );
        }
        if !across.is_empty() {
            let sentence = format!(
                "{} of near-duplicate images stand{} in two sets{} ({from}; {} compared)",
                counted(across.len(), "pair"),
                if across.len() == 1 { "s" } else { "" },
                patients(&across),
                counted(seen.len(), "image")
            );
            findings.push(Finding::new(self.name(), Severity::Leak, sentence, numbers.clone())
                .next(&format!("look at the pairs (--out); put what shows the same into one set, or leave one of each pair out; {NOT_FOUND}"))
                .list(material, listed(&across)));
        }
        if !inside.is_empty() {
            let sentence = format!(
                "{} of near-duplicate images within a set{} ({from})",
                counted(inside.len(), "pair"),
                patients(&inside),
            );
            let severity = if strangers(&inside) > 0 {
                Severity::Serious
            } else {
                Severity::Note
            };
            findings.push(Finding::new(self.name(), severity, sentence, numbers.clone())
                .next(&format!("two patients with one image are one patient, or a mistake: join them before the sets are drawn; {NOT_FOUND}"))
                .list(material, listed(&inside)));
        }
        if !likely.is_empty() {
            let sets = numbers["likely_in_two_sets"].as_u64().unwrap_or(0) as usize;
            let sentence = format!(
                "{} may be near-duplicates, {} in two sets (details correlate {at}, where one patient's neighbouring slices lie too)",
                counted(likely.len(), "further pair"),
                count(sets)
            );
            let severity = if sets > 0 { Severity::Notable } else { Severity::Note };
            findings.push(
                Finding::new(self.name(), severity, sentence, numbers.clone())
                    .next(&format!(
                        "look at the pairs (--out), the most alike come first; {NOT_FOUND}"
                    ))
                    .list(material, listed(likely)),
            );
        }
        if beyond > 0 {
            let sentence = format!(
                "{} (details correlate from {:.2} on) are in none of these counts, so many there are",
                counted(beyond, "further pair"),
                settings.likely
            );
            findings.push(
                Finding::new(self.name(), Severity::Notable, sentence, numbers.clone())
                    .next("look at the pairs that are listed first: these images can't be told apart"),
            );
        }
        if pairs.is_empty() {
            let whom = if material.has_patients {
                "of two patients or sets "
            } else {
                ""
            };
            let sentence = format!(
                "no two of {} {whom}are near-duplicates ({NOT_FOUND})",
                counted(seen.len(), "image")
            );
            findings.push(Finding::new(self.name(), Severity::Ok, sentence, numbers));
        }
        Ok(Outcome::Ran(findings))
    }
}

fn listed(pairs: &[Pair]) -> Vec<Listed> {
    let line = |pair: &Pair| Listed {
        row: pair.rows[0],
        other: Some(pair.rows[1]),
        value: Some(f64::from(pair.cosine)),
    };
    pairs.iter().take(super::LISTED).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::material::testing::material;

    /// A picture of random structure, and the same one scaled in its grey values.
    fn save(path: &std::path::Path, seed: u32, gain: f32) {
        let image = image::GrayImage::from_fn(96, 80, |x, y| {
            let s = seed as f32;
            let (x, y) = (x as f32, y as f32);
            let value = 120.0
                + 50.0 * (0.21 * x + s).sin() * (0.17 * y - s * s).cos()
                + 40.0 * (0.013 * x * y * (s + 1.0)).sin();
            image::Luma([(value * gain) as u8])
        });
        image.save(path).unwrap();
    }

    #[test]
    fn a_copy_with_other_bytes_is_found_across_sets_and_patients_only() {
        let folder = tempfile::tempdir().unwrap();
        let run = |text: &str| {
            let mut material = material(text);
            for (row, (seed, gain)) in [(1, 1.0), (1, 0.8), (2, 1.0), (3, 1.0)].into_iter().enumerate() {
                let path = folder.path().join(format!("{row}.png"));
                save(&path, seed, gain);
                material.paths[row] = Some(path);
            }
            match NearDuplicateImages.run(&material, &Settings::default()).unwrap() {
                Outcome::Ran(findings) => findings,
                Outcome::CannotRun(why) => panic!("{why}"),
            }
        };
        let leak = run("who set\nA train\nB test\nC train\nD test");
        assert_eq!((leak[0].severity, leak.len()), (Severity::Leak, 1), "{leak:?}");
        assert_eq!(leak[0].rows.iter().map(|place| place.row).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            run("who set\nA train\nB train\nC train\nD test")[0].severity,
            Severity::Serious
        );
        assert_eq!(
            run("who set\nA train\nA train\nC train\nD test")[0].severity,
            Severity::Ok
        );
    }
}
