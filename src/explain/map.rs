//! Two-dimensional maps of a table of features: principal components, and t-SNE on the first fifty of them.

use ndarray::{Array2, ArrayView2, s};

use super::{ExplainError, Tsne, principal_components};

/// Components that t-SNE sees: later ones are mostly noise (van der Maaten & Hinton took 30, scikit-learn advises 50).
const FOR_TSNE: usize = 50;

/// A place on a plane for every row.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureMap {
    /// `PCA` or `t-SNE`.
    pub method: &'static str,
    /// `[N, 2]` places.
    pub places: Array2<f64>,
    /// What the axis across and the axis up are.
    pub axes: [String; 2],
    /// How it was made and how to read it: sentences.
    pub words: String,
}

/// The maps of `x`: principal components and, from 10 rows on, t-SNE.
///
/// # Shapes
///
/// - `x`: `[N, F]`, finite, columns on scales that may be compared
///
/// # Errors
///
/// Fewer than two rows.
pub fn maps(x: ArrayView2<'_, f64>, tsne: &Tsne) -> Result<Vec<FeatureMap>, ExplainError> {
    let components = principal_components(x, FOR_TSNE)?;
    let (seen, share) = (components.shares.len(), components.shares.iter().sum::<f64>());
    let axis = |k: usize| match components.shares.get(k) {
        Some(share) => format!("component {}: {:.1} % of the variance", k + 1, 100.0 * share),
        None => format!("component {}: there is none", k + 1),
    };
    let column = |row: usize, k: usize| components.places.get([row, k]).copied().unwrap_or(0.0);
    let pca = FeatureMap {
        method: "PCA",
        places: Array2::from_shape_fn((x.nrows(), 2), |(row, k)| column(row, k)),
        axes: [axis(0), axis(1)],
        words: "The plane in which the features vary most; distances on it are at most those in the table.".to_owned(),
    };
    let first = components.places.slice(s![.., ..seen.min(2)]);
    let near = match tsne.map(components.places.view(), first) {
        Ok(map) => map,
        Err(ExplainError::FewRows { .. }) => return Ok(vec![pca]),
        Err(error) => return Err(error),
    };
    let tsne = FeatureMap {
        method: "t-SNE",
        places: near.places,
        axes: ["t-SNE, no unit", "t-SNE, no unit"].map(str::to_owned),
        words: format!(
            "Near rows stay near; sizes of groups and distances between them mean nothing. Perplexity {:.0}, {} steps \
             from the first two principal components, on {seen} components with {:.1} % of the variance; divergence {:.2}.",
            near.perplexity,
            tsne.iterations,
            100.0 * share,
            near.divergence
        ),
    };
    Ok(vec![pca, tsne])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_rows_have_a_map_of_components_only_and_one_feature_has_one_axis() {
        let x = Array2::from_shape_fn((4, 1), |(row, _)| row as f64);
        let maps = maps(x.view(), &Tsne::default()).unwrap();
        assert_eq!(maps.len(), 1);
        assert!(maps[0].axes[0].contains("100.0 %") && maps[0].axes[1].contains("none"));
        assert!(maps[0].places.column(1).iter().all(|place| *place == 0.0));
    }
}
