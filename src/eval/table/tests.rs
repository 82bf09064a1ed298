use super::*;

fn table(csv: &str) -> TextTable {
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let names = lines.next().unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    let cells = |column: usize| {
        let of_row = |row: &Vec<&str>| Some(row[column].to_owned()).filter(|cell| !cell.is_empty());
        rows.iter().map(of_row).collect()
    };
    let columns = names
        .iter()
        .enumerate()
        .map(|(at, name)| ((*name).to_owned(), cells(at)));
    TextTable::new(columns.collect()).unwrap()
}

fn positive(name: &str) -> ScorePlan {
    ScorePlan {
        positive: Some(name.to_owned()),
        ..ScorePlan::default()
    }
}

#[test]
fn columns_are_found_by_their_usual_names_and_patients_are_numbered_by_theirs() {
    let csv = "row,slice_id,patient_id,label,set,a,a.threshold,b,note\n\
               1,s1,zoe,1.0,test,0.5,0.4,1,x\n2,s2,ada,0,test,0.25,0.4,,y\n3,s3,zoe,1,train,-1,0.4,NaN,z";
    let read = ScoreTable::new(&table(csv), &positive("1")).unwrap();
    assert_eq!(read.patient, [1, 0, 1]);
    assert_eq!(read.positive, [true, false, true]);
    let names: Vec<&str> = read.scores.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
    assert_eq!(read.scores[1].score, [Some(1.0), None, None]);
    assert_eq!(read.left_out, 2);
    assert!(read.warnings[0].starts_with("2 of 3 rows have no finite number in column \"b\""));
    assert_eq!(
        read.sets(),
        [("test".to_owned(), vec![0, 1]), ("train".to_owned(), vec![2])]
    );
    assert_eq!(
        read.scores(0, &[0, 2]).unwrap().thresholds(),
        Some([0.4, 0.4].as_slice())
    );
    assert_eq!(read.scored(&[0, 1], &[0, 1, 2]), [0]);
}

#[test]
fn what_is_not_clear_is_asked_for() {
    let ask = |csv: &str, plan: &ScorePlan| ScoreTable::new(&table(csv), plan).unwrap_err().to_string();
    let plain = "patient,label,a\nx,0,1\ny,1,2";
    let asked = ask(plain, &ScorePlan::default());
    assert!(asked.ends_with("column `label` holds `0` (1), `1` (1)"), "{asked}");
    assert!(ask(plain, &positive("2")).starts_with("no row has the label `2`"));
    assert!(ask("name,label,a\nx,0,1", &positive("1")).contains("--patient-per-row"));
    assert!(ask("patient,class,a\nx,0,1", &positive("1")).contains("the columns are patient, class, a"));
    assert!(ask("patient,label,a\nx,1,high", &positive("1")).contains("name them with `--score`"));
    assert!(ask("patient,label,a", &positive("1")).contains("no rows"));
    let mut named = positive("1");
    named.scores = vec!["a".to_owned()];
    assert!(ask("patient,label,a\nx,1,high", &named).contains("text at row 1"));
    assert!(
        ask(
            "patient;label;a\nx;1;0,5"
                .replace(';', "\t")
                .replace(',', "|")
                .replace('\t', ",")
                .as_str(),
            &named
        )
        .contains("row 1")
    );
    named.scores = vec!["label".to_owned()];
    assert!(ask(plain, &named).contains("two purposes, labels and scores"));
    let wide = format!(
        "patient,label{}\nx,1{}",
        (0..30).map(|i| format!(",f{i}")).collect::<String>(),
        ",1".repeat(30)
    );
    assert!(ask(&wide, &positive("1")).starts_with("30 columns hold numbers"));
}

#[test]
fn subgroups_show_no_patients() {
    let by = |column: &str| ScorePlan {
        by: vec![column.to_owned()],
        ..positive("1")
    };
    let csv = "patient,label,a,code,sex\nP0001,0,1,xP0001,f\nP0002,1,2,xP0002,m\nP0003,1,2,xP0003,";
    let error = ScoreTable::new(&table(csv), &by("code")).unwrap_err().to_string();
    assert!(error.contains("identifiers") && !error.contains("P0001"), "{error}");
    assert!(ScoreTable::new(&table(csv), &by("patient")).is_err());
    let read = ScoreTable::new(&table(csv), &by("sex")).unwrap();
    let (groups, without) = read.groups_of(0, &[0, 1, 2]);
    assert_eq!((groups[1].clone(), without), (("m".to_owned(), vec![1]), 1));
}

#[test]
fn losses_are_counted_and_named_exclusions_are_no_losses() {
    let csv = "patient,label,scan,a\nx,0,1,1\n,1,1,2\ny,1,1,2\ny,,1,1\nz,other,1,1\nx,0,2,3";
    let plan = ScorePlan {
        negative: vec!["0".to_owned()],
        ..positive("1")
    };
    let read = ScoreTable::new(&table(csv), &plan).unwrap();
    assert_eq!((read.len(), read.left_out, read.warnings.len()), (3, 2, 3));
    assert_eq!(read.scan, Some(vec![0, 2, 1]));
    assert_eq!(read.negative_name, "0");
}
