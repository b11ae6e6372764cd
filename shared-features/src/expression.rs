//! Named expressions over values: baselines such as `(same_hour + 1) * decay_30d`.
//!
//! Numbers, names, `+ - * /`, parentheses, `log1p(x)`, `abs(x)`, `min(x, y)`, `max(x, y)` and `or(x, y)` (`y` where `x` is missing).
//! Everything is computed in `f64`; a missing operand makes the result missing, except for `or`.

use serde::{Deserialize, Serialize};

/// Deepest nesting of an expression.
const MAX_DEPTH: u32 = 64;

/// A parsed expression over named numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Expression {
    /// What was written.
    pub text: String,
    names: Vec<String>,
    program: Vec<Op>,
}

/// One step of a stack machine.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
enum Op {
    Number(f64),
    Name(u32),
    Add,
    Sub,
    Mul,
    Div,
    Neg,
    Log1p,
    Abs,
    Min,
    Max,
    Or,
}

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExpressionError {
    /// Something else was expected.
    #[error("expected {expected} at character {at} of `{text}`")]
    Expected {
        /// What.
        expected: &'static str,
        /// Where, from 1.
        at: usize,
        /// The whole text.
        text: String,
    },
    /// Too deeply nested.
    #[error("`{text}` is nested more than {MAX_DEPTH} deep")]
    TooDeep {
        /// The whole text.
        text: String,
    },
    /// The stored program does not fit its names.
    #[error("the stored program of `{text}` is inconsistent")]
    Inconsistent {
        /// The whole text.
        text: String,
    },
}

impl Expression {
    /// Parses a text.
    ///
    /// # Errors
    /// Where and what was expected.
    pub fn parse(text: &str) -> Result<Expression, ExpressionError> {
        let mut parser = Parser { text, at: 0, depth: 0, names: Vec::new(), program: Vec::new() };
        parser.sum()?;
        parser.skip_space();
        if parser.at < text.len() {
            return Err(parser.expected("an operator or the end"));
        }
        Ok(Expression { text: text.to_owned(), names: parser.names, program: parser.program })
    }

    /// The names it reads, in order of first use.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Checks a program that was read from bytes.
    ///
    /// # Errors
    /// Names out of range, or a stack that does not end with one number.
    pub fn check(&self) -> Result<(), ExpressionError> {
        let mut depth = 0i64;
        for op in &self.program {
            let (takes, in_range) = match op {
                Op::Number(_) => (0, true),
                Op::Name(k) => (0, (*k as usize) < self.names.len()),
                Op::Neg | Op::Log1p | Op::Abs => (1, true),
                Op::Add | Op::Sub | Op::Mul | Op::Div | Op::Min | Op::Max | Op::Or => (2, true),
            };
            depth = depth - takes + 1;
            if !in_range || depth < 1 {
                return Err(ExpressionError::Inconsistent { text: self.text.clone() });
            }
        }
        if depth == 1 { Ok(()) } else { Err(ExpressionError::Inconsistent { text: self.text.clone() }) }
    }

    /// The value for one row; `value(k)` is the number called `names()[k]`, NaN where missing.
    pub fn evaluate(&self, value: impl Fn(usize) -> f64) -> f64 {
        let mut stack: Vec<f64> = Vec::with_capacity(8);
        for op in &self.program {
            let result = match *op {
                Op::Number(x) => x,
                Op::Name(k) => value(k as usize),
                Op::Neg => -pop(&mut stack),
                Op::Log1p => libm::log1p(pop(&mut stack)),
                Op::Abs => libm::fabs(pop(&mut stack)),
                binary => {
                    let right = pop(&mut stack);
                    let left = pop(&mut stack);
                    match binary {
                        Op::Add => left + right,
                        Op::Sub => left - right,
                        Op::Mul => left * right,
                        Op::Div => left / right,
                        Op::Or => {
                            if left.is_nan() {
                                right
                            } else {
                                left
                            }
                        }
                        _ if left.is_nan() || right.is_nan() => f64::NAN,
                        Op::Min => {
                            if right < left {
                                right
                            } else {
                                left
                            }
                        }
                        _ => {
                            if right > left {
                                right
                            } else {
                                left
                            }
                        }
                    }
                }
            };
            stack.push(result);
        }
        pop(&mut stack)
    }
}

fn pop(stack: &mut Vec<f64>) -> f64 {
    stack.pop().unwrap_or(f64::NAN)
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    names: Vec<String>,
    program: Vec<Op>,
}

impl Parser<'_> {
    fn sum(&mut self) -> Result<(), ExpressionError> {
        self.product()?;
        loop {
            let op = match self.peek() {
                Some('+') => Op::Add,
                Some('-') => Op::Sub,
                _ => return Ok(()),
            };
            self.at += 1;
            self.product()?;
            self.program.push(op);
        }
    }

    fn product(&mut self) -> Result<(), ExpressionError> {
        self.unary()?;
        loop {
            let op = match self.peek() {
                Some('*') => Op::Mul,
                Some('/') => Op::Div,
                _ => return Ok(()),
            };
            self.at += 1;
            self.unary()?;
            self.program.push(op);
        }
    }

    fn unary(&mut self) -> Result<(), ExpressionError> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(ExpressionError::TooDeep { text: self.text.to_owned() });
        }
        let result = match self.peek() {
            Some('-') => {
                self.at += 1;
                self.unary().map(|()| self.program.push(Op::Neg))
            }
            Some('(') => {
                self.at += 1;
                self.sum().and_then(|()| self.take(')', "`)`"))
            }
            Some(c) if c.is_ascii_digit() || c == '.' => self.number(),
            Some(c) if c.is_ascii_alphabetic() || c == '_' => self.name(),
            _ => Err(self.expected("a number, a name or `(`")),
        };
        self.depth -= 1;
        result
    }

    fn number(&mut self) -> Result<(), ExpressionError> {
        let rest = &self.text[self.at..];
        let mut end = 0;
        for (i, c) in rest.char_indices() {
            let exponent_sign = (c == '-' || c == '+') && rest[..i].ends_with(['e', 'E']);
            if !(c.is_ascii_digit() || c == '.' || c == 'e' || c == 'E' || exponent_sign) {
                break;
            }
            end = i + 1;
        }
        match rest[..end].parse::<f64>() {
            Ok(x) if x.is_finite() => {
                self.at += end;
                self.program.push(Op::Number(x));
                Ok(())
            }
            _ => Err(self.expected("a number")),
        }
    }

    fn name(&mut self) -> Result<(), ExpressionError> {
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        self.at += end;
        if self.peek() != Some('(') {
            let index = self.names.iter().position(|n| *n == name).unwrap_or_else(|| {
                self.names.push(name);
                self.names.len() - 1
            });
            self.program.push(Op::Name(index as u32));
            return Ok(());
        }
        let (op, arguments) = match name.as_str() {
            "log1p" => (Op::Log1p, 1),
            "abs" => (Op::Abs, 1),
            "min" => (Op::Min, 2),
            "max" => (Op::Max, 2),
            "or" => (Op::Or, 2),
            _ => return Err(self.expected("log1p, abs, min, max or or before `(`")),
        };
        self.take('(', "`(`")?;
        self.sum()?;
        for _ in 1..arguments {
            self.take(',', "`,`")?;
            self.sum()?;
        }
        self.take(')', "`)`")?;
        self.program.push(op);
        Ok(())
    }

    fn take(&mut self, wanted: char, name: &'static str) -> Result<(), ExpressionError> {
        if self.peek() != Some(wanted) {
            return Err(self.expected(name));
        }
        self.at += 1;
        Ok(())
    }

    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.text[self.at..].chars().next()
    }

    fn skip_space(&mut self) {
        self.at = self.text.len() - self.text[self.at..].trim_start().len();
    }

    fn expected(&self, expected: &'static str) -> ExpressionError {
        ExpressionError::Expected { expected, at: self.at + 1, text: self.text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> f64 {
        let known = [("a", 2.0), ("b", 3.0), ("m", f64::NAN)];
        let expression = Expression::parse(text).unwrap();
        expression.check().unwrap();
        expression.evaluate(|k| known.iter().find(|(name, _)| *name == expression.names()[k]).unwrap().1)
    }

    #[test]
    fn arithmetic_follows_the_usual_precedence() {
        for (text, expected) in [
            ("1 + 2 * 3", 7.0),
            ("(1 + 2) * 3", 9.0),
            ("-a - -b", 1.0),
            ("8 / 4 / 2", 1.0),
            ("(a + 1) * b", 9.0),
            ("1e-1 * 10", 1.0),
            ("or(m, 7)", 7.0),
            ("max(a, min(b, 1))", 2.0),
            ("log1p(0) + abs(-a)", 2.0),
        ] {
            assert_eq!(value(text), expected, "{text}");
        }
        assert!(value("max(m, 1)").is_nan());
        assert!(value("m + 1").is_nan());
    }

    #[test]
    fn other_texts_are_refused_with_their_place() {
        for text in ["", "1 +", "(1", "1)", "f(1)", "min(1)", "1 2", "a b", "1..2", "é"] {
            assert!(matches!(Expression::parse(text), Err(ExpressionError::Expected { .. })), "{text}");
        }
        let deep = "(".repeat(100_000);
        assert!(matches!(Expression::parse(&deep), Err(ExpressionError::TooDeep { .. })));
        let signs = "-".repeat(100_000);
        assert!(matches!(Expression::parse(&signs), Err(ExpressionError::TooDeep { .. })));
    }
}
