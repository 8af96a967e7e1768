use super::*;

fn made(text: &str) -> Arc<str> {
    recurring(text, || Ok::<_, ()>(text.into())).expect("it is made")
}

#[test]
fn a_text_that_comes_again_is_shared_for_so_many_uses() {
    let first = made("shared");
    for _ in 0..USES {
        assert!(Arc::ptr_eq(&first, &made("shared")));
    }
    let next = made("shared");
    assert_eq!(next, first);
    assert!(!Arc::ptr_eq(&first, &next), "made anew");
}

#[test]
fn whatever_comes_the_text_is_that_which_was_asked_for_and_no_more_than_its_places_are_held() {
    let all: Vec<_> = (0..10 * PLACES).map(|number| made(&format!("name {number}"))).collect();
    for (number, text) in all.iter().enumerate() {
        assert_eq!(**text, *format!("name {number}"));
    }
    let held = all.iter().filter(|text| Arc::strong_count(text) > 1).count();
    assert!(held <= PLACES, "{held}");
}

#[test]
fn a_text_that_could_not_be_made_is_not_held() {
    assert_eq!(recurring("refused", || Err("no")), Err("no"));
    assert_eq!(*made("refused"), *"refused");
}
