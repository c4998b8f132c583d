use std::collections::HashSet;

use super::*;
use crate::catalogue::Catalogue;

/// Words that carry no meaning of their own: sharing one is not sharing a noun.
const FUNCTION_WORDS: &str = "a an and are as at be been before but by can do does for from get goes has have how i if in into is it its me \
    my myself need no not of off on one or our out over own so something somebody that the their them there they this to too under up us \
    want was we what when where which while who will with without you your until keep keeps make makes stop stops put";

/// A word without its common endings, so that `leaking` meets `leak` and `drawers` meet `draw`.
fn stem(word: &str) -> String {
    let mut word = word.to_lowercase();
    while let Some(shorter) = ["ing", "ies", "es", "ed", "er", "s", "y", "e"]
        .iter()
        .find_map(|ending| word.strip_suffix(ending).filter(|rest| rest.len() >= 3))
    {
        word = shorter.to_owned();
    }
    word
}

fn words(text: &str) -> HashSet<String> {
    let function_words: HashSet<&str> = FUNCTION_WORDS.split_whitespace().collect();
    text.split(|letter: char| !letter.is_ascii_alphabetic())
        .filter(|word| word.len() > 1 && !function_words.contains(word.to_lowercase().as_str()))
        .map(stem)
        .collect()
}

#[test]
fn there_are_thirty_and_their_answers_exist() {
    let catalogue = Catalogue::parse().unwrap();
    let questions = questions();
    assert_eq!(questions.len(), 30);
    let types: HashSet<_> = questions.iter().map(|question| question.type_name).collect();
    assert!(types.len() >= 25, "{} types", types.len());
    for question in questions {
        let found = catalogue.types.iter().find(|product_type| product_type.name == question.type_name);
        let category = found.map(|product_type| catalogue.categories[product_type.category].name);
        assert_eq!(category, Some(question.category_name), "{question:?}");
    }
}

#[test]
fn no_question_shares_a_word_with_its_answer() {
    let catalogue = Catalogue::parse().unwrap();
    let mut shared = Vec::new();
    for question in questions() {
        let mut answer = format!("{} {}", question.category_name, question.type_name);
        for product in &catalogue.products {
            if catalogue.types[product.product_type].name == question.type_name {
                answer = format!("{answer} {} {}", product.name, product.description);
            }
        }
        let both: Vec<String> = words(question.question).intersection(&words(&answer)).cloned().collect();
        if !both.is_empty() {
            shared.push(format!("{:?} shares {both:?}", question.question));
        }
    }
    assert!(shared.is_empty(), "{shared:#?}");
}

#[test]
fn the_stems_meet() {
    assert_eq!(words("leaking drawers"), words("leak drawer"));
    assert_ne!(words("sink"), words("basin"));
}
