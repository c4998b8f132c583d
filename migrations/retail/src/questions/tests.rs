use std::collections::HashSet;

use super::*;
use crate::catalogue::Catalogue;

/// What a question says beside its nouns: verbs, adjectives, adverbs and the small words. These may
/// stand in the answer too. A word of a question that is neither here nor in its list of nouns fails
/// the test, so no noun is left out of the list by oversight.
const NO_NOUNS: &str = "a about after although and at behind bleeding blew block breaking burned by can cheaper check clogged cut do does \
    dripping during empties every feed firmly fix floods flush for freezing from frozen get hang hangs heavy hiking hook \
    how I in is it keep kicked leaky loose lower my need never new of off on open our out overgrown pale patch power rains \
    reach redecorate replace rid run running sags set short should sleep slippery slowly some something somewhere sparks \
    squeaks stops straight swap that the through to too travel trim under up us warn watered we wear what when while why";

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

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_ascii_alphabetic()).filter(|word| !word.is_empty())
}

fn stems(text: &str) -> HashSet<String> {
    words(text).map(stem).collect()
}

/// Everything that is said of the products of a type: in names, descriptions, type and category.
fn answer(catalogue: &Catalogue, question: &Question) -> String {
    let mut answer = format!("{} {}", question.category_name, question.type_name);
    for product in &catalogue.products {
        if catalogue.types[product.product_type].name == question.type_name {
            answer = format!("{answer} {} {}", product.name, product.description);
        }
    }
    answer
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
fn no_noun_of_a_question_stands_in_its_answer() {
    let catalogue = Catalogue::parse().unwrap();
    let shared: Vec<String> = questions()
        .iter()
        .flat_map(|question| {
            let answer = stems(&answer(&catalogue, question));
            words(question.nouns)
                .filter(|noun| answer.contains(&stem(noun)))
                .map(|noun| format!("{noun} in {:?}", question.question))
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(shared.is_empty(), "{shared:#?}");
}

#[test]
fn every_word_of_a_question_is_known_to_be_a_noun_or_not() {
    let no_nouns: HashSet<&str> = words(NO_NOUNS).collect();
    for question in questions() {
        let nouns: HashSet<&str> = words(question.nouns).collect();
        for word in words(question.question) {
            assert!(nouns.contains(word) != no_nouns.contains(word), "{word:?} in {:?}", question.question);
        }
        assert!(!nouns.is_empty() && nouns.iter().all(|noun| words(question.question).any(|word| word == *noun)));
    }
}

#[test]
fn the_stems_meet() {
    assert_eq!(stems("leaking drawers"), stems("leak drawer"));
    assert_ne!(stems("sink"), stems("basin"));
}
