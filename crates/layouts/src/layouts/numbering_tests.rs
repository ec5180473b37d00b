use super::*;

fn evidence(lines: &[(u32, Option<&str>)]) -> Evidence {
    let mut evidence = Evidence::default();
    lines.iter().for_each(|(label, wnid)| evidence.add(*label, *wnid).unwrap());
    evidence
}

fn names(keys: &[&str]) -> Vec<String> {
    keys.iter().map(|key| (*key).to_owned()).collect()
}

const A: Option<&str> = Some("n00000001");
const B: Option<&str> = Some("n00000002");

#[test]
fn one_class_cannot_have_two_numbers() {
    let mut evidence = evidence(&[(0, A)]);
    assert!(evidence.add(0, A).is_ok());
    assert_eq!(evidence.add(0, B).unwrap_err().code, LAYOUT_UNKNOWN);
    assert_eq!(evidence.add(1, A).unwrap_err().code, LAYOUT_UNKNOWN);
}

#[test]
fn a_label_that_two_orders_count_differently_is_refused() {
    let list = names(&["n00000003", "n00000002", "n00000001"]);
    // Label 1 is the second class in the sorted order and in the list's; label 0 is not the same in both.
    let error = evidence(&[(1, B), (0, None)]).numbering(Some(&list), None).unwrap_err();
    assert!(
        error
            .info
            .unwrap()
            .starts_with("label 0 may be counted by sorted WNID or by order of synset_words.txt")
    );
    assert_eq!(evidence(&[(1, B)]).numbering(Some(&list), None).unwrap().order, "sorted WNID");
}

#[test]
fn a_background_in_the_list_is_a_line_like_others() {
    let list = names(&["background", "n00000001", "n00000002"]);
    let numbering = evidence(&[(1, A), (2, B)]).numbering(Some(&list), None).unwrap();
    assert_eq!(numbering.keys[&2], "n00000002");
}

#[test]
fn paths_alone_tell_where_there_is_no_list() {
    let numbering = evidence(&[(7, A), (3, B)]).numbering(None, None).unwrap();
    assert_eq!(
        (numbering.keys[&7].as_str(), numbering.order.as_str()),
        ("n00000001", "WNIDs in the paths of the lists")
    );
    assert!(evidence(&[(7, A), (3, B), (4, None)]).numbering(None, None).is_err());
}
