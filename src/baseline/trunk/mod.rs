//! The layers of encoders as they are trained, a residual unit or a block a row: what each gives, and what it keeps for its gradient.
//!
//! What is kept is what PyTorch's operators save: a convolution and a linear layer what enters, a batch or layer norm what enters, a
//! ReLU what leaves, a max-pool what enters and the places of the largest, each a 64-bit number. A tensor that two operators save is
//! counted where it is made.

mod bigbigan;
mod dinov2;
mod resnet50;

use super::{LayerFacts, Made, Shapes};
use crate::encoder::{EncoderConfig, EncoderError};

/// Numbers that a 64-bit place in memory stands for.
const PLACE: usize = 2;

/// The layers of an encoder for one slice, from the first to the last; those of a script are not known, and there are none.
///
/// ```
/// use hounsfield::{baseline::encoder_layers, encoder::EncoderConfig};
/// let resnet: EncoderConfig = toml::from_str("kind = 'resnet50-imagenet'")?;
/// let layers = encoder_layers(&resnet)?;
/// assert_eq!(layers[0].output, [1, 64, 112, 112]);
/// assert_eq!(layers.iter().map(|layer| layer.parameters).sum::<usize>(), 23_508_032);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When the settings make no network.
pub fn encoder_layers(encoder: &EncoderConfig) -> Result<Vec<LayerFacts>, EncoderError> {
    let mut rows = Rows::new(encoder.expected_tensors()?, 1);
    trunk(encoder, &mut rows)?;
    if encoder.architecture().is_ok() {
        bigbigan::head(&encoder.architecture()?, &mut rows);
    }
    Ok(rows.list)
}

/// The layers of an encoder up to its pooled features, for so many slices. Names begin with `trunk.`.
pub(super) fn trunk_layers(encoder: &EncoderConfig, slices: usize) -> Result<Vec<LayerFacts>, EncoderError> {
    let mut rows = Rows::new(encoder.expected_tensors()?, slices);
    trunk(encoder, &mut rows)?;
    for row in &mut rows.list {
        row.name.insert_str(0, "trunk.");
    }
    Ok(rows.list)
}

fn trunk(encoder: &EncoderConfig, rows: &mut Rows) -> Result<(), EncoderError> {
    match encoder {
        EncoderConfig::ResNet50(_)
        | EncoderConfig::RevNet50x4(_)
        | EncoderConfig::TinyResNet(_)
        | EncoderConfig::TinyRevNet(_) => bigbigan::trunk(&encoder.architecture()?, rows),
        EncoderConfig::ResNet50ImageNet(c) => resnet50::trunk(c.input_size, rows),
        EncoderConfig::DinoV2(c) => dinov2::trunk(c.input_size, rows),
        EncoderConfig::TorchScript(_) => {}
    }
    Ok(())
}

/// A list in the making.
struct Rows {
    tensors: Shapes,
    slices: usize,
    segment: usize,
    list: Vec<LayerFacts>,
}

impl Rows {
    fn new(tensors: Shapes, slices: usize) -> Self {
        Self {
            tensors,
            slices,
            segment: 0,
            list: Vec::new(),
        }
    }

    /// A row of the tensors at these places, called as the first; what leaves it and what it keeps are those of one slice.
    fn add(&mut self, places: &[&str], kind: &str, output: &[usize], kept: usize) {
        let here = |name: &str| {
            places.iter().any(|place| {
                let rest = name.strip_prefix(place);
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
            })
        };
        let trained = self.tensors.iter().filter(|(name, _)| here(name) && is_trained(name));
        self.list.push(LayerFacts {
            name: places.first().copied().unwrap_or_default().to_owned(),
            kind: kind.to_owned(),
            output: [&[self.slices], output].concat(),
            parameters: trained.map(|(_, shape)| shape.iter().product::<usize>()).sum(),
            kept: kept * self.slices,
            segment: self.segment,
            made: Made::Whole,
        });
    }

    /// The next row begins a segment.
    fn cut(&mut self) {
        self.segment += 1;
    }
}

/// Whether an optimiser moves the tensor.
pub(super) fn is_trained(name: &str) -> bool {
    !(name.ends_with(".running_mean") || name.ends_with(".running_var") || name.ends_with(".u"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_is_left_out_or_counted_twice() {
        for kind in EncoderConfig::KINDS.into_iter().filter(|kind| *kind != "torchscript") {
            let encoder: EncoderConfig = toml::from_str(&format!("kind = '{kind}'")).unwrap();
            let count = |shapes: Shapes| -> usize {
                let trained = shapes.iter().filter(|(name, _)| is_trained(name));
                trained.map(|(_, shape)| shape.iter().product::<usize>()).sum()
            };
            let of = |layers: Vec<LayerFacts>| layers.iter().map(|layer| layer.parameters).sum::<usize>();
            let whole = of(encoder_layers(&encoder).unwrap());
            assert_eq!(whole, count(encoder.expected_tensors().unwrap()), "{kind}");
            let trunk = of(trunk_layers(&encoder, 3).unwrap());
            assert_eq!(trunk, count(encoder.trunk_tensors().unwrap()), "{kind}");
        }
    }

    #[test]
    fn slices_multiply_what_is_given_and_kept_but_no_parameters() {
        let encoder: EncoderConfig = toml::from_str("kind = 'bigbigan-revnet-tiny'").unwrap();
        let (one, many) = (trunk_layers(&encoder, 1).unwrap(), trunk_layers(&encoder, 7).unwrap());
        for (one, many) in one.iter().zip(&many) {
            assert_eq!((7 * one.kept, one.parameters), (many.kept, many.parameters));
            assert_eq!((many.output[0], &one.output[1..]), (7, &many.output[1..]));
        }
    }
}
