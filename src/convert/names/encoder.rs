//! How large the encoder is.

use super::{NamesError, Part, sizes::Kernel};
use crate::encoder::{EncoderConfig, ResNet50, RevNet50x4, TinyResNet, TinyRevNet};

/// The trunk's family and all widths; slices of 256 rows, which no shape tells. With the width of the latent vector.
pub(super) fn sizes(kernels: &[Kernel<'_>]) -> Result<(EncoderConfig, usize), NamesError> {
    let plain = |shape: &[usize]| kernels.iter().filter(|k| !k.bias && !k.u && k.shape == shape).count();
    let stems: Vec<usize> = kernels
        .iter()
        .filter_map(|k| match (k.shape, k.bias || k.u) {
            ([7, 7, 3, channels], false) => Some(*channels),
            _ => None,
        })
        .collect();
    let [stem] = stems.as_slice() else {
        let (stems, kernels) = (stems.len(), kernels.len());
        return Err(NamesError::NoEncoder { stems, kernels });
    };
    // The 3x3 convolutions of a stage, one a unit: as wide as the bottleneck.
    let depths = |middle: usize| std::array::from_fn(|s| plain(&[3, 3, middle << s, middle << s]));
    let (resnet, revnet): ([usize; 4], [usize; 4]) = (depths(*stem), depths(stem / 8));
    let is = |depths: [usize; 4], expand: [usize; 2]| !depths.contains(&0) && plain(&[1, 1, expand[0], expand[1]]) > 0;
    let (width, depths, reversible) = if is(resnet, [*stem, 4 * stem]) {
        (*stem, resnet, false)
    } else if stem.is_multiple_of(8) && is(revnet, [stem / 8, stem / 2]) {
        (stem / 4, revnet, true)
    } else {
        return Err(NamesError::Sizes {
            part: Part::Encoder,
            why: format!(
                "its first convolution has {stem} channels, and neither a ResNet's 3x3 convolutions of {stem} channels and \
                 up (per stage: {resnet:?}) nor a RevNet's of {} (per stage: {revnet:?}) go with that",
                stem / 8
            ),
        });
    };
    let (head_dim, z_dim) = head(kernels, 32 * width)?;
    let published = depths == [3, 4, 6, 3] && z_dim == 120;
    let (w, input_size) = (width, 256);
    let encoder = match (reversible, width, published) {
        (false, 64, true) => EncoderConfig::ResNet50(ResNet50 {
            head_dim,
            ..ResNet50::default()
        }),
        (true, 256, true) => EncoderConfig::RevNet50x4(RevNet50x4 {
            head_dim,
            ..RevNet50x4::default()
        }),
        (false, ..) => EncoderConfig::TinyResNet(TinyResNet {
            width: w,
            depths,
            head_dim,
            z_dim,
            input_size,
            ..TinyResNet::default()
        }),
        (true, ..) => EncoderConfig::TinyRevNet(TinyRevNet {
            width: w,
            depths,
            head_dim,
            z_dim,
            input_size,
            ..TinyRevNet::default()
        }),
    };
    Ok((encoder, z_dim))
}

/// Widths of the MLP and of the latent vector.
fn head(kernels: &[Kernel<'_>], features: usize) -> Result<(usize, usize), NamesError> {
    let linears: Vec<[usize; 2]> = kernels
        .iter()
        .filter(|k| !k.u)
        .filter_map(|k| k.shape.try_into().ok())
        .collect();
    let mut widths: Vec<usize> = linears.iter().filter(|l| l[0] == features).map(|l| l[1]).collect();
    widths.retain(|w| linears.contains(&[*w, *w]));
    widths.sort_unstable();
    widths.dedup();
    let fail = |why: String| {
        let part = Part::Encoder;
        Err(NamesError::Sizes { part, why })
    };
    let [width] = widths[..] else {
        return fail(format!(
            "its trunk makes {features} features, and of its linear layers {linears:?} none, or more than one width, starts a \
             residual MLP on them"
        ));
    };
    let outs: Vec<usize> = linears
        .iter()
        .filter(|l| l[0] == width && l[1] != width)
        .map(|l| l[1])
        .collect();
    match outs[..] {
        [both] if both.is_multiple_of(2) => Ok((width, both / 2)),
        [mean, stdev] if mean == stdev => Err(NamesError::TwoOutputs { width: mean }),
        _ => fail(format!(
            "one linear layer from its MLP's {width} numbers to mean and deviation was expected, found widths {outs:?}"
        )),
    }
}
