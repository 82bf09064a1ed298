//! How large the networks are, read from shapes alone.

use super::{
    NamesError, Overrides, Part, Role, attention, encoder,
    variables::{Found, Site},
};
use crate::{
    encoder::EncoderConfig,
    method::{Discriminator, Generator},
};

/// The three networks, as far as they are there.
#[derive(Debug)]
pub(super) struct Sizes {
    /// The encoder.
    pub encoder: EncoderConfig,
    /// Width of its latent vector.
    pub z_dim: usize,
    /// The generator.
    pub generator: Option<Generator>,
    /// The discriminator.
    pub discriminator: Option<Discriminator>,
}

/// A layer's weight.
pub(super) struct Kernel<'a> {
    pub site: &'a Site,
    pub shape: &'a [usize],
    pub bias: bool,
    pub u: bool,
    pub ema: bool,
}

/// Reads all sizes.
pub(super) fn read(found: &Found, overrides: &Overrides) -> Result<Sizes, NamesError> {
    let part = |part: Part| -> Vec<Kernel<'_>> {
        let sites = found.sites.iter().filter(|site| overrides.allows(part, &site.path));
        sites.filter_map(|site| kernel(site, found)).collect()
    };
    let (mut encoder, z_dim) = encoder::sizes(&part(Part::Encoder))?;
    let (of_generator, of_disc) = (part(Part::Generator), part(Part::Discriminator));
    let generator = match overrides.without.contains(&Part::Generator) {
        true => None,
        false => generator(&of_generator, z_dim)?,
    };
    let discriminator = match overrides.without.contains(&Part::Discriminator) {
        true => None,
        false => discriminator(&of_disc, generator.as_ref(), z_dim)?,
    };
    let (mut generator, mut discriminator) = (generator, discriminator);
    attention::place(&of_generator, &of_disc, generator.as_mut(), discriminator.as_mut())?;
    let of = |part, why: String| NamesError::Sizes { part, why };
    if let Some(generator) = &generator {
        generator.check(z_dim).map_err(|e| of(Part::Generator, e.to_string()))?;
        if let Some(discriminator) = &discriminator {
            let checked = discriminator.check(generator.resolution());
            checked.map_err(|e| of(Part::Discriminator, e.to_string()))?;
        }
    }
    let size = overrides.input_size.or_else(|| published_input(&encoder));
    let doubled = generator
        .as_ref()
        .map(|g| 2 * g.resolution())
        .filter(|size| size.is_multiple_of(32));
    let size = size.or(doubled).ok_or(NamesError::InputSize)?;
    match &mut encoder {
        EncoderConfig::ResNet50(c) => c.input_size = size,
        EncoderConfig::RevNet50x4(c) => c.input_size = size,
        EncoderConfig::TinyResNet(c) => c.input_size = size,
        EncoderConfig::TinyRevNet(c) => c.input_size = size,
        // Not read from these shapes.
        EncoderConfig::ResNet50ImageNet(_) | EncoderConfig::DinoV2(_) | EncoderConfig::TorchScript(_) => {}
    }
    encoder.architecture()?;
    Ok(Sizes {
        encoder,
        z_dim,
        generator,
        discriminator,
    })
}

fn kernel<'a>(site: &'a Site, found: &'a Found) -> Option<Kernel<'a>> {
    let variable = &found.variables[*site.leaves.get(&Role::Weight)?];
    Some(Kernel {
        site,
        shape: &variable.shape,
        bias: site.leaves.contains_key(&Role::Bias),
        u: site.leaves.contains_key(&Role::U),
        ema: variable.ema.is_some(),
    })
}

/// What the published module saw, for its own sizes.
fn published_input(encoder: &EncoderConfig) -> Option<usize> {
    match encoder {
        EncoderConfig::ResNet50(_) | EncoderConfig::RevNet50x4(_) => Some(256),
        _ => None,
    }
}

fn generator(kernels: &[Kernel<'_>], z_dim: usize) -> Result<Option<Generator>, NamesError> {
    // Scales and offsets of its batch norms, made from the latent vector.
    let made: Vec<[usize; 2]> = kernels
        .iter()
        .filter(|k| k.u && !k.bias)
        .filter_map(|k| k.shape.try_into().ok())
        .collect();
    let Some([condition, _]) = made.first().copied() else {
        return Ok(None);
    };
    let fail = |why: String| {
        let part = Part::Generator;
        Err(NamesError::Sizes { part, why })
    };
    if made.iter().any(|[inputs, _]| *inputs != condition) {
        return fail(format!(
            "its batch norms' scales are made from vectors of more than one width: {made:?}"
        ));
    }
    let mut widths: Vec<usize> = made.iter().map(|[_, width]| *width).collect();
    widths.sort_unstable_by(|a, b| b.cmp(a));
    // A scale and an offset for each norm; two norms a block, the widest first: c0, c1, c1, c2, c2, .., cn.
    let norms: Vec<usize> = widths
        .chunks(2)
        .filter(|c| c.len() == 2 && c[0] == c[1])
        .map(|c| c[0])
        .collect();
    let inner = norms.get(1..norms.len().saturating_sub(1)).unwrap_or_default();
    if norms.len() * 2 != widths.len() || norms.len() % 2 == 1 || inner.chunks(2).any(|c| c[0] != c[1]) {
        return fail(format!(
            "its batch norms' widths {widths:?} are not those of blocks that grow narrower"
        ));
    }
    let mut channels: Vec<usize> = norms.iter().step_by(2).copied().collect();
    channels.extend(norms.last());
    let lone = |k: &&Kernel<'_>| k.site.leaves.len() == 1 && k.shape.iter().filter(|n| **n > 1).count() <= 1;
    let vectors = kernels.iter().filter(lone).map(|k| k.shape.iter().product::<usize>());
    let fits = |shared: &usize| {
        condition
            .checked_sub(*shared)
            .is_some_and(|chunk| chunk.checked_mul(channels.len()) == Some(z_dim))
    };
    let Some(shared_dim) = vectors.clone().find(fits) else {
        return fail(format!(
            "its batch norms read {condition} numbers, of which a part is one of {} of the latent vector's {z_dim} and the \
             rest a learned vector; the vectors found have {:?}",
            channels.len(),
            vectors.collect::<Vec<_>>()
        ));
    };
    let last = channels[channels.len() - 1];
    let planes = kernels.iter().find_map(|k| match k.shape {
        [3, 3, inputs, planes @ (1 | 3)] if *inputs == last && k.bias && k.u => Some(*planes),
        _ => None,
    });
    let Some(planes) = planes else {
        return fail(format!(
            "no 3x3 convolution draws an image from its last {last} channels"
        ));
    };
    let width = channels.iter().copied().fold(0, gcd);
    if width == 0 {
        return fail("it has layers without channels".to_owned());
    }
    Ok(Some(Generator {
        width,
        multipliers: channels.iter().map(|c| c / width).collect(),
        attention_after: 0,
        shared_dim,
        planes,
    }))
}

fn discriminator(
    kernels: &[Kernel<'_>],
    generator: Option<&Generator>,
    z_dim: usize,
) -> Result<Option<Discriminator>, NamesError> {
    let normed = || kernels.iter().filter(|k| k.bias && k.u);
    let mut convs: Vec<[usize; 2]> = normed()
        .filter_map(|k| match k.shape {
            [3, 3, inputs, outputs] => Some([*inputs, *outputs]),
            _ => None,
        })
        .collect();
    for conv in generator.map(generator_convs).unwrap_or_default() {
        if let Some(at) = convs.iter().position(|c| *c == conv) {
            convs.swap_remove(at);
        }
    }
    let Some(stem) = convs.iter().find(|c| c[0] == 3).map(|c| c[1]) else {
        return Ok(None);
    };
    let fail = |why: String| {
        let part = Part::Discriminator;
        Err(NamesError::Sizes { part, why })
    };
    let (mut channels, mut at) = (Vec::new(), Some(stem));
    while let Some(c) = at {
        // A block's second convolution keeps the width; so do both of a block that keeps it.
        let square = convs.iter().filter(|conv| **conv == [c, c]).count();
        if square % 2 == 0 || channels.contains(&c) {
            return fail(format!(
                "its 3x3 convolutions {convs:?} are not those of a chain of blocks"
            ));
        }
        channels.extend(std::iter::repeat_n(c, square.div_ceil(2)));
        at = convs
            .iter()
            .find(|conv| conv[0] == c && conv[1] != c)
            .map(|conv| conv[1]);
    }
    let linears: Vec<[usize; 2]> = normed().filter_map(|k| k.shape.try_into().ok()).collect();
    let Some(mlp_dim) = linears.iter().find(|l| l[0] == z_dim && l[1] > 1).map(|l| l[1]) else {
        return fail(format!(
            "no spectrally normed linear layer reads the latent vector's {z_dim} numbers"
        ));
    };
    // Two MLPs; the first layer of each has another width.
    let inner = linears.iter().filter(|l| **l == [mlp_dim, mlp_dim]).count();
    if inner % 4 != 2 {
        return fail(format!(
            "{inner} linear layers of {mlp_dim} x {mlp_dim} are not those of two equal residual MLPs"
        ));
    }
    let width = channels.iter().copied().fold(0, gcd);
    if width == 0 {
        return fail("it has layers without channels".to_owned());
    }
    Ok(Some(Discriminator {
        width,
        multipliers: channels.iter().map(|c| c / width).collect(),
        attention_after: 0,
        mlp_dim,
        mlp_blocks: inner.div_ceil(4),
    }))
}

/// Inputs and outputs of a generator's 3x3 convolutions.
fn generator_convs(generator: &Generator) -> Vec<[usize; 2]> {
    let channels = generator.channels();
    let blocks = channels
        .windows(2)
        .flat_map(|pair| [[pair[0], pair[1]], [pair[1], pair[1]]]);
    blocks.chain(channels.last().map(|c| [*c, generator.planes])).collect()
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
