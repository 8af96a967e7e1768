use super::*;

#[track_caller]
fn check(accept: &str, form: Form) {
    assert_eq!(Form::preferred(accept.split(',')), form, "{accept}");
}

#[test]
fn csv_is_for_whoever_names_it_first() {
    for accept in
        ["text/csv", "TEXT/CSV", "text/csv, */*;q=0.1", "application/json;q=0.5, text/csv", "text/csv;q=0.001"]
    {
        check(accept, Form::Csv);
    }
    for accept in [
        "",
        "*/*",
        "text/*",
        "application/json",
        "text/csv, application/json",
        "text/csv;q=0.9, application/json",
        "text/csv;q=0",
        "text/csv;q=0.000",
        "text/csv;q=x",
        "text/html",
        "text/csv2",
    ] {
        check(accept, Form::Json);
    }
}

#[test]
fn what_separates_cells_and_rows_is_quoted() {
    let mut csv = Csv::new(&["a", "b"]);
    csv.row(&["x,y", "say \"hi\""]);
    csv.row(&["", "=1+1"]);
    assert_eq!(csv.text, "a,b\r\n\"x,y\",\"say \"\"hi\"\"\"\r\n,=1+1\r\n");
}
