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

/// Patients, rows of each, ICC, shift, both classes in each patient.
type Design = (usize, usize, f64, f64, bool);

/// The mean of the AUC over data sets: a positive row lies above a negative row of another patient with probability
/// Phi(shift / sqrt 2), above one of its own patient, whose share cancels, with Phi(shift / sqrt(2 - 2 icc)).
fn truth(&(patients, _, icc, shift, mixed): &Design) -> f64 {
    let own = if mixed { 1.0 / patients as f64 } else { 0.0 };
    (1.0 - own) * normal_cdf(shift / 2_f64.sqrt()) + own * normal_cdf(shift / (2.0 - 2.0 * icc).sqrt())
}

/// Of one simulated data set, the intervals in the order of [`METHODS`]: do they hold the truth, and how wide are they?
///
/// Half of the patients are positive, or with `mixed` every second row of each is. A row's score is normal with
/// variance 1, of which the share `icc` is its patient's, around 0 or `shift`.
fn simulate(number: u64, design: &Design) -> [(bool, f64); METHODS.len()] {
    let &(patients, rows, icc, shift, mixed) = design;
    let mut rng = seed::stream(number, "coverage");
    let (mut positive, mut score, mut patient) = (Vec::new(), Vec::new(), Vec::new());
    for who in 0..patients {
        let shared: f64 = StandardNormal.sample(&mut rng);
        for row in 0..rows {
            let own: f64 = StandardNormal.sample(&mut rng);
            let class = (if mixed { row } else { who }) % 2 == 0;
            positive.push(class);
            score.push(shift * f64::from(class) + icc.sqrt() * shared + (1.0 - icc).sqrt() * own);
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
    let truth = truth(design);
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
    let designs = [
        (100, 5, 0.5, 1.0, false),
        (100, 5, 0.5, 1.0, true),
        (100, 5, 0.5, 2.0, false),
        (40, 5, 0.5, 1.0, false),
    ];
    for (line, design) in designs.iter().enumerate() {
        let (patients, rows, icc, _, mixed) = design;
        let classes = if *mixed { "both classes" } else { "one class" };
        let auc = truth(design);
        println!("{patients} patients of {classes}, {rows} rows each, ICC {icc}, AUC {auc:.3}, {SETS} data sets");
        let sets: Vec<_> = (0..SETS)
            .into_par_iter()
            .map(|number| simulate(number, design))
            .collect();
        for (at, method) in METHODS.into_iter().enumerate() {
            let covered = sets.iter().filter(|set| set[at].0).count() as f64 / SETS as f64;
            let width = sets.iter().map(|set| set[at].1).sum::<f64>() / SETS as f64;
            println!("  {method:<36} covers {:5.1} %, mean width {width:.3}", 100.0 * covered);
            // Fewer patients or areas near 1 cost the normal interval some of its coverage: shown, not asserted.
            if line < 2 {
                let of_rows = at == 0 || at == 5;
                assert_eq!((0.93..=0.97).contains(&covered), !of_rows, "{method}: {covered}");
            }
        }
    }
}
