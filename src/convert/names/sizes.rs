//! How large the networks are, read from shapes alone.

use super::{
    NamesError, Overrides, Part, Role,
    order::shared,
    variables::{Found, Site},
};
use crate::{
    encoder::{EncoderConfig, ResNet50, RevNet50x4, TinyResNet, TinyRevNet},
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
struct Kernel<'a> {
    site: &'a Site,
    shape: &'a [usize],
    bias: bool,
    u: bool,
    ema: bool,
}

/// Reads all sizes.
pub(super) fn read(found: &Found, overrides: &Overrides) -> Result<Sizes, NamesError> {
    let part = |part: Part| -> Vec<Kernel<'_>> {
        let sites = found.sites.iter().filter(|site| overrides.allows(part, &site.path));
        sites.filter_map(|site| kernel(site, found)).collect()
    };
    let (mut encoder, z_dim) = encoder(&part(Part::Encoder))?;
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
    place_attention(&of_generator, &of_disc, generator.as_mut(), discriminator.as_mut())?;
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
        #[allow(unreachable_patterns)]
        _ => {}
    }
    encoder.architecture()?;
    let of = |part, why: String| NamesError::Sizes { part, why };
    if let Some(generator) = &generator {
        generator.check(z_dim).map_err(|e| of(Part::Generator, e.to_string()))?;
        if let Some(discriminator) = &discriminator {
            let checked = discriminator.check(generator.resolution());
            checked.map_err(|e| of(Part::Discriminator, e.to_string()))?;
        }
    }
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

fn encoder(kernels: &[Kernel<'_>]) -> Result<(EncoderConfig, usize), NamesError> {
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
            .is_some_and(|chunk| chunk * channels.len() == z_dim)
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

/// Finds the blocks that self-attention stands behind, by its channels; where those fit both networks, by its neighbours.
fn place_attention(
    of_generator: &[Kernel<'_>],
    of_disc: &[Kernel<'_>],
    generator: Option<&mut Generator>,
    discriminator: Option<&mut Discriminator>,
) -> Result<(), NamesError> {
    let values = |kernels: &[Kernel<'_>]| -> Vec<usize> {
        let squeezed = kernels.iter().enumerate().filter(|(_, k)| k.u && !k.bias);
        squeezed
            .filter(|(_, k)| matches!(k.shape, [1, 1, inputs, outputs] if *inputs == 2 * outputs))
            .map(|(at, _)| at)
            .collect()
    };
    // What no other network has.
    let of_g: Vec<&Kernel<'_>> = of_generator
        .iter()
        .filter(|k| k.u && !k.bias && k.shape.len() == 2)
        .collect();
    let of_d: Vec<&Kernel<'_>> = of_disc
        .iter()
        .filter(|k| k.u && k.bias && matches!(k.shape, [3, 3, 3, _]))
        .collect();
    let near = |kernel: &Kernel<'_>, group: &[&Kernel<'_>]| {
        let depth = group.iter().map(|k| shared(&k.site.path, &kernel.site.path)).max();
        let averaged = group.iter().all(|k| k.ema == kernel.ema);
        depth.map(|depth| (depth, averaged))
    };
    let pick = |kernels: &[Kernel<'_>], own: &[&Kernel<'_>], other: &[&Kernel<'_>], outputs: &[usize], part: Part| {
        let of = |at: &usize| kernels[*at].shape[2];
        let mut fit = values(kernels);
        fit.retain(|at| outputs.contains(&of(at)));
        let widths = |list: &[usize]| list.iter().map(of).collect::<std::collections::BTreeSet<_>>();
        if widths(&fit).len() > 1 && !other.is_empty() {
            fit.retain(|at| near(&kernels[*at], own) > near(&kernels[*at], other));
        }
        let widths = widths(&fit);
        let [channels] = widths.iter().copied().collect::<Vec<_>>()[..] else {
            let why =
                format!("self-attention stands behind one of its blocks, of {outputs:?} channels; found {widths:?}");
            return Err(NamesError::Sizes { part, why });
        };
        let behind: Vec<usize> = (0..outputs.len()).filter(|block| outputs[*block] == channels).collect();
        match behind[..] {
            [block] => Ok(block),
            _ => {
                let why =
                    format!("self-attention on {channels} channels can stand behind any of its blocks {behind:?}");
                Err(NamesError::Sizes { part, why })
            }
        }
    };
    if let Some(generator) = generator {
        let outputs = &generator.channels()[1..];
        generator.attention_after = pick(of_generator, &of_g, &of_d, outputs, Part::Generator)?;
    }
    if let Some(discriminator) = discriminator {
        let outputs = &discriminator.channels()[1..];
        discriminator.attention_after = pick(of_disc, &of_d, &of_g, outputs, Part::Discriminator)?;
    }
    Ok(())
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}
