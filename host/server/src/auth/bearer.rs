use http::{HeaderMap, header};

use super::Refused;

/// The token of a request: exactly one header `Authorization: Bearer TOKEN`. Tokens in the address are
/// not looked at: addresses are logged on their way.
pub(super) fn token(headers: &HeaderMap, bytes_max: usize) -> Result<&str, Refused> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = match (values.next(), values.next()) {
        (Some(value), None) => value,
        (None, _) => return Err(Refused("no token")),
        (Some(_), Some(_)) => return Err(Refused("more than one Authorization header")),
    };
    let malformed = Refused("Authorization is not `Bearer TOKEN`");
    let (scheme, token) = value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(malformed)?;
    let token = token.trim_matches(' ');
    if !scheme.eq_ignore_ascii_case("Bearer") || token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(malformed);
    }
    if token.len() > bytes_max {
        return Err(Refused("the token is longer than token_bytes_max"));
    }
    Ok(token)
}
