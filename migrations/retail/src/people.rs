//! Names for customers, who do not exist.

use rand::{Rng, RngExt};

const FIRST_NAMES: &str = "Aaron Abigail Adrian Aisha Alan Alejandra Alex Alice Amara Amber Amir Amy Ana Andre Andrea Angela Anita Anthony \
    Arjun Ashley Barbara Beatriz Ben Beth Brandon Brenda Brian Camila Carla Carlos Carmen Caroline Catherine Cheng Chloe Chris \
    Claire Connor Crystal Cynthia Daniel Danielle Darnell David Dawn Deborah Deepa Derek Diana Diego Dmitri Donna Dorothy Duc \
    Dylan Edith Eduardo Elena Eli Elijah Elizabeth Emeka Emily Emma Eric Esther Ethan Eva Evan Fatima Felix Fiona Francis Frank \
    Gabriel Gary George Gina Gloria Grace Greg Hannah Harold Hassan Hazel Heather Helen Henry Hiroshi Holly Ian Imani Irene Isaac \
    Isabel Ivan Jack Jacob Jade Jamal James Janet Jasmine Jason Javier Jean Jenna Jeremy Jessica Jin Joan Joel Jordan Jorge Jose \
    Joseph Joyce Juan Judith Julia Justin Kara Karen Kayla Keiko Keith Kelly Kenji Kevin Kim Kyle Lakshmi Lan Larry Laura Leah Leo \
    Leticia Liam Linda Lisa Logan Louis Lucia Luis Luke Mai Malik Marcus Margaret Maria Marie Mark Martha Martin Mason Matthew Maya \
    Megan Mei Melissa Michael Miguel Mila Mohammed Monica Nadia Naomi Natalie Nathan Nia Nicole Noah Nora Olga Oliver Olivia Omar \
    Oscar Pablo Pamela Patricia Paul Pedro Peter Philip Priya Rachel Raj Ramon Raymond Rebecca Renee Ricardo Robert Rosa Roy Ruth \
    Ryan Samantha Samuel Sandra Sanjay Sara Scott Sean Sergei Sharon Simone Sofia Stella Steven Sunita Susan Tanya Tara Teresa \
    Theo Thomas Tiffany Timothy Trang Tyler Uma Vanessa Vera Victor Viet Vincent Wanda Wei Wendy William Xavier Yasmin Yolanda Yuki Zoe";

const LAST_NAMES: &str = "Abbott Adams Agarwal Ali Allen Alvarez Anderson Andersson Aoki Bailey Baker Banks Barnes Bauer Bell Bennett \
    Berg Bishop Black Boyd Brooks Brown Bryant Burke Burns Butler Campbell Carlson Carter Castillo Chan Chavez Chen Cheung Clark Cohen \
    Cole Collins Cook Cooper Cox Crawford Cruz Dahl Daniels Das Davis Delgado Diaz Dixon Dominguez Duncan Edwards Ellis Erickson Evans \
    Ferguson Fernandez Fischer Fisher Fleming Flores Ford Foster Fox Freeman Fujimoto Garcia Gardner Gibson Gill Gomez Gonzalez Gordon \
    Graham Grant Gray Green Griffin Gupta Gutierrez Hall Hamilton Hansen Harper Harris Harrison Hayes Henderson Hernandez Herrera Hill \
    Ho Hoang Hoffman Holmes Howard Hughes Hunt Hussain Ibrahim Ito Jackson James Jensen Jimenez Johansson Johnson Jones Jordan Joshi \
    Kang Kaur Kelly Kennedy Khan Kim King Klein Knight Kowalski Kumar Larsen Lawson Le Lee Lewis Li Lin Liu Lopez Lund Ma MacDonald \
    Marshall Martin Martinez Mason Matsuda Mbeki McCoy McDonald Medina Mehta Mendoza Meyer Miller Mitchell Mohamed Moore Morales Morgan \
    Morris Murphy Murray Myers Nakamura Nelson Newman Ng Nguyen Nielsen Novak Nunez Obi Okafor Oliver Olsen Olson Ortiz Osman Owens \
    Palmer Park Parker Patel Pearson Perez Perry Peters Peterson Pham Phillips Phan Pierce Porter Powell Price Quinn Ramirez Ramos Rao \
    Reed Reid Reyes Reynolds Rice Richardson Rivera Roberts Robinson Rodriguez Rogers Romero Rose Ross Ruiz Russell Ryan Sanchez \
    Sanders Sato Schmidt Schneider Scott Shah Sharma Shaw Silva Simmons Singh Smith Snyder Sokolov Soto Spencer Stevens Stewart Stone \
    Sullivan Suzuki Tanaka Taylor Thomas Thompson Torres Tran Tucker Turner Valdez Vargas Vasquez Vu Wagner Walker Wallace Wang Ward \
    Warren Washington Watson Webb Weber West White Williams Wilson Wong Wood Wright Wu Yamada Yang Yoon Young Zhang Zhou Zimmerman";

/// Draws names.
#[derive(Debug)]
pub(crate) struct Names {
    first: Vec<&'static str>,
    last: Vec<&'static str>,
}

impl Names {
    pub(crate) fn new() -> Self {
        Self { first: FIRST_NAMES.split_whitespace().collect(), last: LAST_NAMES.split_whitespace().collect() }
    }

    /// A first and a last name.
    pub(crate) fn draw(&self, rng: &mut impl Rng) -> (&'static str, &'static str) {
        (draw_one(&self.first, rng), draw_one(&self.last, rng))
    }
}

fn draw_one(names: &[&'static str], rng: &mut impl Rng) -> &'static str {
    names.get(rng.random_range(0..names.len())).copied().unwrap_or_default()
}
