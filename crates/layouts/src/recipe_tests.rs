use std::collections::BTreeMap;

use super::*;
use crate::samples::Place;

#[test]
fn recipes_are_read_and_name_layouts() {
    let recipes = recipes().unwrap();
    assert_eq!(recipes.len(), EMBEDDED.len());
    for recipe in &recipes {
        assert!(!recipe.layouts.is_empty() && !recipe.commands.is_empty());
        for layout in &recipe.layouts {
            assert!(layouts::description(layout).is_some(), "{layout}");
        }
        let counted: u64 = recipe.splits.iter().map(|split| split.images).sum();
        assert!(recipe.splits.is_empty() || recipe.images == Some(counted), "{}", recipe.name);
        for sum in recipe.files.iter().filter_map(|file| file.md5.as_ref()) {
            assert!(sum.len() == 32 && sum.bytes().all(|byte| byte.is_ascii_hexdigit()), "{sum}");
        }
    }
    assert_eq!(named("imagenet-2012").unwrap().classes, Some(1000));
    assert_eq!(named("imagenet").unwrap_err().code, RECIPE_DIFFERS);
}

/// `datasets/README.md` has a row for each recipe, made of it.
#[test]
fn the_table_for_readers_is_that_of_the_recipes() {
    let readme = include_str!("../../../datasets/README.md");
    let rows: Vec<&str> = readme.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let cells: BTreeMap<&str, &str> =
        rows.iter().map(|row| (row.split(" | ").next().unwrap_or_default(), *row)).collect();
    let recipes = recipes().unwrap();
    assert_eq!(rows.len(), recipes.len() + 1, "one row is of the built-in data set, which needs no recipe");
    for recipe in recipes {
        let title = match &recipe.origin {
            Some(origin) => format!("| [{}]({origin})", recipe.title),
            None => format!("| {}", recipe.title),
        };
        let commands =
            recipe.commands.iter().map(|command| format!("`{command}`")).collect::<Vec<_>>().join("<br>");
        let row = format!("{title} | {} | {} | {} | {commands} |", recipe.what, recipe.terms, recipe.lies_as);
        assert_eq!(cells.get(title.as_str()), Some(&row.as_str()));
    }
}

#[test]
fn a_plan_that_differs_is_refused_with_each_difference() {
    let place = Place::new();
    place.photos(&["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg"]);
    let request = crate::Request { recipe: Some("imagenette".to_owned()), ..place.request() };
    let error = crate::samples::planned(&request).unwrap_err();
    assert_eq!(error.code, RECIPE_DIFFERS);
    let expected = "images in train: 2 instead of 9469; images in val: 1 instead of 3925; \
        images: 3 instead of 13394; classes: 2 instead of 10";
    assert_eq!(error.info.as_deref(), Some(expected));

    let recipe = Recipe {
        layouts: vec!["classes".to_owned()],
        splits: vec![Counted { name: "train".to_owned(), images: 2 }],
        images: Some(3),
        classes: Some(2),
        ..named("own-photos").unwrap()
    };
    let plan = place.plan().unwrap();
    let error = recipe.check_plan(&plan).unwrap_err().info.unwrap();
    assert!(error.starts_with("layout: image folder") && !error.contains(';'), "{error}");
    Recipe { layouts: vec!["folders".to_owned()], ..recipe }.check_plan(&plan).unwrap();
}
