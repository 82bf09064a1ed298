//! Scans to a batch for a network of whole scans: the one way in, for training and for scoring.

use ndarray::ArrayView3;
use rayon::prelude::*;
use tch::{Device, Kind, Tensor};

use super::TorchError;
use crate::transforms::{AIR, Affine, Move, ScanChange, ScanInput, ScanShapeError, gaussian_kernel, scan_noise};

/// Voxels that are sampled together on a device: each takes 12 bytes for its place.
const TOGETHER: usize = 1 << 22;

/// Scans through the window, each changed before where there are changes.
///
/// On the processor [`ScanChange::apply`] does the work, on a graphics card the same in tensors, which differs by rounding of
/// places: up to 0.1 HU beside steep edges. One scan is at work at a time.
///
/// # Shapes
///
/// - `voxels`: `[D, H, W]` HU each, of `input.size`
/// - `changes`: one a scan
/// - output: `[N, 1, D, H, W]` float32 in `[-1, 1]` on the device
///
/// # Errors
///
/// [`TorchError::Scan`] for another size, [`TorchError::Changes`] for another number of changes, or when libtorch fails.
pub fn batch(
    voxels: &[ArrayView3<'_, i16>],
    changes: Option<&[ScanChange]>,
    input: &ScanInput,
    device: Device,
) -> Result<Tensor, TorchError> {
    if let Some(changes) = changes.filter(|changes| changes.len() != voxels.len()) {
        return Err(TorchError::Changes {
            scans: voxels.len(),
            changes: changes.len(),
        });
    }
    let none = ScanChange::default();
    let work = voxels
        .iter()
        .enumerate()
        .map(|(n, voxels)| (*voxels, changes.map_or(&none, |changes| &changes[n])));
    let shape = [voxels.len(), 1, input.size[0], input.size[1], input.size[2]].map(|size| size as i64);
    if device == Device::Cpu {
        let scan = input.size.iter().product::<usize>();
        let out = Tensor::f_zeros(shape, (Kind::Float, device))?;
        if out.numel() == 0 {
            return Ok(out);
        }
        // SAFETY: a new tensor on the processor, contiguous, with so many floats, that nobody else knows yet.
        let numbers = unsafe { std::slice::from_raw_parts_mut(out.data_ptr().cast::<f32>(), voxels.len() * scan) };
        for ((voxels, change), out) in work.zip(numbers.chunks_exact_mut(scan)) {
            change.write(voxels, input, out)?;
        }
        return Ok(out);
    }
    let out = Tensor::f_empty(shape, (Kind::Float, device))?;
    for (n, (voxels, change)) in work.enumerate() {
        out.f_get(n as i64)?
            .f_get(0)?
            .f_copy_(&in_tensors(voxels, change, input, device)?)?;
    }
    Ok(out)
}

/// One scan on a device, `[D, H, W]`.
fn in_tensors(
    voxels: ArrayView3<'_, i16>,
    change: &ScanChange,
    input: &ScanInput,
    device: Device,
) -> Result<Tensor, TorchError> {
    let (found, expected) = (<[usize; 3]>::from(voxels.dim()), input.size);
    if found != expected {
        return Err(ScanShapeError { found, expected }.into());
    }
    tch::no_grad(|| {
        let voxels = voxels.as_standard_layout();
        let stored = Tensor::f_from_slice(voxels.as_slice().expect("standard layout is contiguous"))?
            .f_reshape(expected.map(|size| size as i64))?
            .f_to_device(device)?;
        let mut scan = match change.moves(expected, input.spacing) {
            Move::Flip(flip) => {
                let axes: Vec<i64> = (0..3).filter(|axis| flip[*axis as usize]).collect();
                stored.f_flip(axes)?.f_to_kind(Kind::Float)?
            }
            Move::Map(affine) => mapped(&stored, &affine)?,
        };
        drop(stored);
        let kernel = gaussian_kernel(change.blur.unwrap_or(0.0));
        if kernel.len() > 1 {
            for axis in 0..3 {
                scan = smoothed(&scan, &kernel, axis)?;
            }
        }
        if let Some((sigma, seed)) = change.noise.filter(|(sigma, _)| *sigma > 0.0) {
            let normal = Tensor::f_from_slice(&noise(seed, expected))?.f_view_as(&scan)?;
            scan = scan.f_add_(&normal.f_to_device(device)?.f_mul_scalar_(f64::from(sigma))?)?;
        }
        let window = input.window.0;
        let shift = f64::from(change.hu_shift - window.center);
        Ok(scan
            .f_add_scalar_(shift)?
            .f_mul_scalar_(f64::from(2.0 / window.width))?
            .f_clamp_(-1.0, 1.0)?)
    })
}

/// A scan through a map. `grid_sample` sees zeros outside, and so the scan is seen from air.
fn mapped(stored: &Tensor, affine: &Affine) -> Result<Tensor, TorchError> {
    let size = stored.size();
    let device = stored.device();
    let source = stored
        .f_to_kind(Kind::Float)?
        .f_sub_scalar_(f64::from(AIR))?
        .f_reshape([1, 1, size[0], size[1], size[2]])?;
    let planes = (TOGETHER as i64 / (size[1] * size[2])).max(1);
    let mut slabs = Vec::new();
    for from in (0..size[0]).step_by(planes as usize) {
        let to = (from + planes).min(size[0]);
        let grid = grid(affine, &size, from..to, device)?;
        slabs.push(source.f_grid_sampler_3d(&grid, 0, 0, false)?);
    }
    Ok(Tensor::f_cat(&slabs, 2)?
        .f_view([size[0], size[1], size[2]])?
        .f_add_scalar_(f64::from(AIR))?)
}

/// Places in `[-1, 1]` from the scan's one face to the other, W first: `[1, d, H, W, 3]`. They are sums of a part from each axis,
/// each exact to a rounding.
fn grid(affine: &Affine, size: &[i64], planes: std::ops::Range<i64>, device: Device) -> Result<Tensor, TorchError> {
    let part = |axis: usize, places: std::ops::Range<i64>| -> Result<Tensor, TorchError> {
        let mut numbers = Vec::new();
        for voxel in places {
            for place in [2, 1, 0] {
                let step = affine.matrix[place][axis] * voxel as f64;
                // The offset and the middle of the first voxel are put to the first axis.
                let first = if axis == 0 { affine.offset[place] + 0.5 } else { 0.0 };
                let whole = 2.0 * (first + step) / size[place] as f64;
                numbers.push((if axis == 0 { whole - 1.0 } else { whole }) as f32);
            }
        }
        let mut shape = [1, 1, 1, 1, 3];
        shape[axis + 1] = numbers.len() as i64 / 3;
        Ok(Tensor::f_from_slice(&numbers)?.f_reshape(shape)?.f_to_device(device)?)
    };
    let rows = part(1, 0..size[1])?.f_add(&part(2, 0..size[2])?)?;
    Ok(part(0, planes)?.f_add(&rows)?)
}

/// Smoothed along one axis, the outermost voxels seen again beyond it. Sums of shifted copies and no convolution, which could be
/// computed in fewer bits.
fn smoothed(scan: &Tensor, kernel: &[f32], axis: i64) -> Result<Tensor, TorchError> {
    let (size, radius) = (scan.size(), kernel.len() as i64 / 2);
    let length = size[axis as usize];
    let mut shape = size.clone();
    shape[axis as usize] = radius;
    let first = scan.f_narrow(axis, 0, 1)?.f_expand(&shape, false)?;
    let last = scan.f_narrow(axis, length - 1, 1)?.f_expand(&shape, false)?;
    let padded = Tensor::f_cat(&[&first, scan, &last], axis)?;
    let mut sum = scan.f_zeros_like()?;
    for (offset, weight) in kernel.iter().enumerate() {
        let weight = Tensor::f_from_slice(&[*weight])?.f_to_device(scan.device())?;
        sum = sum.f_addcmul_(&padded.f_narrow(axis, offset as i64, length)?, &weight)?;
    }
    Ok(sum)
}

/// Standard normal numbers for all voxels.
fn noise(seed: u64, [depths, height, width]: [usize; 3]) -> Vec<f32> {
    let plane = height * width;
    let mut all = vec![0.0; depths * plane];
    all.par_chunks_exact_mut(plane.max(1))
        .enumerate()
        .for_each(|(depth, out)| {
            out.iter_mut()
                .zip(scan_noise(seed, depth))
                .for_each(|(out, normal)| *out = normal);
        });
    all
}

#[cfg(test)]
mod tests {
    use ndarray::Array3;

    use super::*;
    use crate::{seed::stream, transforms::ScanAugment};

    fn input(size: [usize; 3]) -> ScanInput {
        ScanInput {
            size,
            ..ScanInput::default()
        }
    }

    fn scan(size: [usize; 3]) -> Array3<i16> {
        Array3::from_shape_fn(size, |(d, h, w)| ((d * 131 + h * 37 + w * 71) % 997) as i16 * 2 - 1024)
    }

    fn array(tensor: &Tensor) -> Array3<f32> {
        let size: Vec<usize> = tensor.size().iter().map(|size| *size as usize).collect();
        let numbers = Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
        Array3::from_shape_vec([size[0], size[1], size[2]], numbers).unwrap()
    }

    #[test]
    fn tensors_say_the_same_as_the_processor() {
        let strong = ScanAugment {
            flip: [0.5; 3],
            rotate: [40.0; 3],
            scale: 0.3,
            ..ScanAugment::named("pu2020").unwrap()
        };
        let mut rng = stream(0, "tensors");
        for size in [[12, 14, 16], [1, 5, 9], [7, 7, 1]] {
            let (scan, input) = (scan(size), input(size));
            for _ in 0..12 {
                let change = strong.draw(&mut rng);
                let expected = change.apply(scan.view(), &input).unwrap();
                let found = array(&in_tensors(scan.view(), &change, &input, Device::Cpu).unwrap());
                let largest = (&found - &expected).fold(0.0f32, |largest, d| largest.max(d.abs()));
                // In HU: places are rounded to 32 bits, and neighbours of this scan differ by up to 1000 HU.
                assert!(1024.0 * largest < 0.02, "{} HU after {change:?}", 1024.0 * largest);
            }
        }
    }

    #[test]
    fn flips_and_windows_in_tensors_are_exact() {
        let (scan, input) = (scan([3, 4, 5]), input([3, 4, 5]));
        for flip in [[false; 3], [true, false, false], [false, true, true]] {
            let change = ScanChange {
                flip,
                ..ScanChange::default()
            };
            let found = array(&in_tensors(scan.view(), &change, &input, Device::Cpu).unwrap());
            assert_eq!(found, change.apply(scan.view(), &input).unwrap());
        }
    }

    #[test]
    fn a_batch_holds_its_scans_in_order_and_scores_see_them_as_they_are() {
        let input = input([3, 4, 5]);
        let (one, other) = (scan([3, 4, 5]), scan([3, 4, 5]).mapv(|hu| hu / 2));
        let change = ScanChange {
            rotate: [0.0, 20.0, 0.0],
            ..ScanChange::default()
        };
        let changes = [ScanChange::default(), change];
        let changed = batch(&[one.view(), other.view()], Some(&changes), &input, Device::Cpu).unwrap();
        assert_eq!(changed.size(), [2, 1, 3, 4, 5]);
        for (n, scan) in [&one, &other].into_iter().enumerate() {
            let expected = changes[n].apply(scan.view(), &input).unwrap();
            assert_eq!(array(&changed.get(n as i64).get(0)), expected);
        }
        let plain = batch(&[one.view()], None, &input, Device::Cpu).unwrap();
        let expected = one.mapv(|hu| (f32::from(hu) / 1024.0).clamp(-1.0, 1.0));
        assert_eq!(array(&plain.get(0).get(0)), expected);
        assert_eq!(batch(&[], None, &input, Device::Cpu).unwrap().size(), [0, 1, 3, 4, 5]);
    }

    #[test]
    fn scans_of_another_size_and_changes_without_a_scan_are_refused() {
        let scan = scan([3, 4, 5]);
        let error = batch(&[scan.view()], None, &input([3, 4, 6]), Device::Cpu).unwrap_err();
        assert_eq!(
            error.to_string(),
            "a scan has [3, 4, 5] voxels along D, H and W, the input is said to have [3, 4, 6]"
        );
        let error = batch(&[scan.view()], Some(&[]), &input([3, 4, 5]), Device::Cpu).unwrap_err();
        assert_eq!(error.to_string(), "1 scans and 0 changes, expected one for each scan");
    }
}
