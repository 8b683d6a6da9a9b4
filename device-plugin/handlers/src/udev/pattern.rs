//! Patterns as udev's rules have them.

/// Whether `text` fits `pattern`, in which `*` stands for any text and `?` for any one character.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), text.chars().collect());
    let (mut at, mut place) = (0, 0);
    // Where the last `*` stands, and how far into the text it reaches so far.
    let mut star: Option<(usize, usize)> = None;
    while place < text.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, place));
                at += 1;
            }
            Some(letter) if *letter == '?' || Some(letter) == text.get(place) => {
                at += 1;
                place += 1;
            }
            _ => {
                let Some((starred, reached)) = star else {
                    return false;
                };
                star = Some((starred, reached + 1));
                at = starred + 1;
                place = reached + 1;
            }
        }
    }
    pattern.iter().skip(at).all(|letter| *letter == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn stars_and_question_marks_stand_for_text() {
        for (pattern, text) in [
            ("", ""),
            ("*", ""),
            ("video*", "video12"),
            ("HD *am*", "HD Webcam C270"),
            ("?d?", "sda"),
            ("a*b*c", "abbbbc"),
        ] {
            assert!(matches(pattern, text), "{pattern} {text}");
        }
        for (pattern, text) in [("", "a"), ("a", ""), ("video?", "video12"), ("a*b", "abc")] {
            assert!(!matches(pattern, text), "{pattern} {text}");
        }
    }
}
