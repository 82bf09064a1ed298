//! What names say of order: `block_2` stands before `block_10`, and `block` before both.
//!
//! TensorFlow numbers what is made under one name in the order in which it is made, and leaves the number out of the first.
//! Between names that differ otherwise the alphabet says nothing.

use std::cmp::Ordering;

/// A piece of a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Token {
    /// Letters, in lower case.
    Word(String),
    /// A number, whatever its leading zeros.
    Number(u64),
    /// One letter right behind a number: the `a` of `res2a`.
    Letter(char),
}

/// One step of a variable's path.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Component {
    /// As it is written.
    pub text: String,
    /// Its pieces.
    pub tokens: Vec<Token>,
}

impl Component {
    pub(super) fn new(text: &str) -> Self {
        let tokens = tokens(&text.to_lowercase());
        let text = text.to_owned();
        Self { text, tokens }
    }

    /// Whether one of its words is this one.
    pub(super) fn says(&self, word: &str) -> bool {
        self.tokens.iter().any(|t| matches!(t, Token::Word(w) if w == word)) || self.text.eq_ignore_ascii_case(word)
    }

    /// The text with every number and every counting letter masked.
    pub(super) fn masked(&self) -> String {
        let words = self.tokens.iter().filter_map(|token| match token {
            Token::Word(word) => Some(word.as_str()),
            Token::Number(_) | Token::Letter(_) => None,
        });
        words.collect::<Vec<_>>().join("_") + "#"
    }

    /// Which of two names counts first, where they differ in a number alone.
    fn counts_before(&self, other: &Self) -> Option<Ordering> {
        for (one, two) in self.tokens.iter().zip(&other.tokens) {
            match (one, two) {
                _ if one == two => {}
                (Token::Number(a), Token::Number(b)) => return Some(a.cmp(b)),
                (Token::Letter(a), Token::Letter(b)) => return Some(a.cmp(b)),
                _ => return None,
            }
        }
        let (one, two) = (self.tokens.len(), other.tokens.len());
        match (self.tokens.get(two), other.tokens.get(one)) {
            (None, Some(Token::Number(_))) => Some(Ordering::Less),
            (Some(Token::Number(_)), None) => Some(Ordering::Greater),
            (None, None) => Some(Ordering::Equal),
            _ => None,
        }
    }
}

/// Which of two paths was made first, where the first step in which they differ says so.
pub(super) fn made_before(one: &[Component], two: &[Component]) -> Option<Ordering> {
    for (a, b) in one.iter().zip(two) {
        match a.counts_before(b) {
            Some(Ordering::Equal) => {}
            Some(order) => return Some(order),
            None => return None,
        }
    }
    None
}

/// Steps that two paths share from the root.
pub(super) fn shared(one: &[Component], two: &[Component]) -> usize {
    one.iter().zip(two).take_while(|(a, b)| a.text == b.text).count()
}

fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let run = |from: usize, keep: fn(&char) -> bool| chars[from..].iter().take_while(|c| keep(c)).count();
    let (mut at, mut tokens, mut after_number) = (0, Vec::new(), false);
    while at < chars.len() {
        let digits = run(at, char::is_ascii_digit);
        let letters = run(at, |c| c.is_alphabetic());
        if digits > 0 {
            // The size of a kernel counts nothing: `3x3`.
            let rest = at + digits;
            let second = match chars.get(rest) {
                Some('x') => run(rest + 1, char::is_ascii_digit),
                _ => 0,
            };
            let end = if second > 0 { rest + 1 + second } else { rest };
            let piece: String = chars[at..end].iter().collect();
            tokens.push(if second > 0 {
                Token::Word(piece)
            } else {
                Token::Number(piece.parse().unwrap_or(u64::MAX))
            });
            (at, after_number) = (end, second == 0);
        } else if letters > 0 {
            let piece: String = chars[at..at + letters].iter().collect();
            tokens.push(match chars[at] {
                letter if after_number && letters == 1 => Token::Letter(letter),
                _ => Token::Word(piece),
            });
            (at, after_number) = (at + letters, false);
        } else {
            (at, after_number) = (at + 1, false);
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(one: &str, two: &str) -> Option<Ordering> {
        let path = |text: &str| text.split('/').map(Component::new).collect::<Vec<_>>();
        made_before(&path(one), &path(two))
    }

    #[test]
    fn numbers_order_and_words_do_not() {
        assert_eq!(order("a/block/x", "a/block_1/y"), Some(Ordering::Less));
        assert_eq!(order("a/block_2/x", "a/block_10/x"), Some(Ordering::Less));
        assert_eq!(order("a/block_010/x", "a/block_9/x"), Some(Ordering::Greater));
        assert_eq!(order("res2a_branch2b", "res2a_branch2a"), Some(Ordering::Greater));
        assert_eq!(order("res3b_branch2a", "res3a_branch1"), Some(Ordering::Greater));
        assert_eq!(order("conv2d", "conv2d_1"), Some(Ordering::Less));
        assert_eq!(order("a/conv0", "a/conv_sc"), None);
        assert_eq!(order("a/conv", "a/conv_sc"), None);
        assert_eq!(order("a/first", "a/second"), None);
        assert_eq!(order("a/conv1x1", "a/conv3x3"), None);
        assert_eq!(order("a/b", "a/b/c"), None);
    }
}
