//! How often 95 % intervals of an AUC hold the truth when the rows of a patient are alike: a simulation.

use hounsfield::{
    seed,
    stats::{
        Bootstrap, ClusterRanking, Clusters, Components, Scale, clustered_delong, delong, distributions::normal_cdf,
    },
};
use rand_distr::{Distribution as _, StandardNormal};
use rayon::prelude::*;

const METHODS: [&str; 6] = [
    "DeLong, rows taken as independent",
    "clustered DeLong, Wald",
    "clustered DeLong, logit",
    "cluster bootstrap, percentile",
    "cluster bootstrap, BCa",
    "row bootstrap, percentile",
];

/// Of one simulated data set, the intervals in the order of [`METHODS`]: do they hold the truth, and how wide are they?
///
/// Half of the patients are positive. A row's score is normal with variance 1, of which the share `icc` is its
/// patient's, around 0 or `shift`: a random positive row lies above a random negative row of another patient with
/// probability Phi(shift / sqrt 2).
fn simulate(number: u64, patients: usize, rows: usize, icc: f64, shift: f64) -> [(bool, f64); METHODS.len()] {
    let mut rng = seed::stream(number, "coverage");
    let (mut positive, mut score, mut patient) = (Vec::new(), Vec::new(), Vec::new());
    for who in 0..patients {
        let shared: f64 = StandardNormal.sample(&mut rng);
        for _ in 0..rows {
            let own: f64 = StandardNormal.sample(&mut rng);
            positive.push(who % 2 == 0);
            score.push(shift * f64::from(who % 2 == 0) + icc.sqrt() * shared + (1.0 - icc).sqrt() * own);
            patient.push(who);
        }
    }
    let components = Components::new(&positive, &score).unwrap();
    let clusters = Clusters::new(&patient);
    let alone = Clusters::new(&(0..score.len()).collect::<Vec<_>>());
    let plain = delong(&[&components]).unwrap();
    let clustered = clustered_delong(&[&components], &clusters).unwrap();
    let bootstrap = Bootstrap {
        seed: number,
        ..Bootstrap::default()
    };
    let ranking = ClusterRanking::new(&positive, &score, &clusters);
    let replicates = bootstrap
        .resample_auc(&clusters, std::slice::from_ref(&ranking))
        .unwrap();
    let bca = replicates.bca(0, components.auc(), ranking.jackknife().as_deref());
    let rows = bootstrap
        .resample_auc(&alone, &[ClusterRanking::new(&positive, &score, &alone)])
        .unwrap();
    let truth = normal_cdf(shift * std::f64::consts::FRAC_1_SQRT_2);
    [
        plain.interval(0, 0.95, Scale::Wald).unwrap(),
        clustered.interval(0, 0.95, Scale::Wald).unwrap(),
        clustered.interval(0, 0.95, Scale::Logit).unwrap(),
        replicates.interval(0),
        bca.ci,
        rows.interval(0),
    ]
    .map(|[lower, upper]| (lower <= truth && truth <= upper, upper - lower))
}

/// 2000 data sets a line: a coverage of 95 % is measured with a standard error of 0.5 %.
#[test]
#[ignore = "minutes: cargo test --test pure coverage -- --ignored --nocapture"]
fn cluster_intervals_cover_and_row_intervals_do_not() {
    const SETS: u64 = 2000;
    for (patients, rows, icc, shift) in [(100, 5, 0.5, 1.0), (100, 5, 0.5, 2.0), (40, 5, 0.5, 1.0)] {
        let auc = normal_cdf(shift * std::f64::consts::FRAC_1_SQRT_2);
        println!("{patients} patients, {rows} rows each, ICC {icc}, AUC {auc:.3}, {SETS} data sets");
        let sets: Vec<_> = (0..SETS)
            .into_par_iter()
            .map(|number| simulate(number, patients, rows, icc, shift))
            .collect();
        for (at, method) in METHODS.into_iter().enumerate() {
            let covered = sets.iter().filter(|set| set[at].0).count() as f64 / SETS as f64;
            let width = sets.iter().map(|set| set[at].1).sum::<f64>() / SETS as f64;
            println!("  {method:<36} covers {:5.1} %, mean width {width:.3}", 100.0 * covered);
            let independent = at == 0 || at == 5;
            if patients == 100 && shift == 1.0 {
                assert_eq!((0.93..=0.97).contains(&covered), !independent, "{method}: {covered}");
            }
        }
    }
}
