//! Behind which block self-attention stands.

use std::collections::BTreeSet;

use super::{NamesError, Part, order::shared, sizes::Kernel};
use crate::method::{Discriminator, Generator};

/// Finds the blocks that self-attention stands behind, by its channels; where those fit both networks, by its neighbours.
pub(super) fn place(
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
        let widths = |list: &[usize]| list.iter().map(of).collect::<BTreeSet<_>>();
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
