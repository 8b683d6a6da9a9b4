//! Messages of D-Bus, as far as a client of systemd needs them.

use std::io::{self, Read};

use zvariant::serialized::{Context, Data};
use zvariant::{DynamicType, Endian, ObjectPath, Value, to_bytes};

use super::bus::BusError;

// Kinds of messages.
const CALL: u8 = 1;
pub(super) const ANSWER: u8 = 2;
pub(super) const REFUSAL: u8 = 3;

// Fields of a header.
const PATH: u8 = 1;
const INTERFACE: u8 = 2;
const MEMBER: u8 = 3;
const ERROR_NAME: u8 = 4;
const ANSWERED: u8 = 5;
const DESTINATION: u8 = 6;
const SIGNATURE: u8 = 8;

const PROTOCOL: u8 = 1;

/// Far more than systemd ever says.
const LONGEST: usize = 1 << 20;

/// Bytes before the fields of a header, the last four of them the length of the fields.
const FIXED: usize = 16;

type Fields<'a> = Vec<(u8, Value<'a>)>;
type Header<'a> = (u8, u8, u8, u8, u32, u32, Fields<'a>);

/// Whom a call is for.
pub(super) struct Target {
    pub(super) destination: &'static str,
    pub(super) path: &'static str,
    pub(super) interface: &'static str,
}

/// The bytes of a call.
pub(super) fn call<B>(
    target: &Target,
    member: &str,
    serial: u32,
    body: &B,
) -> Result<Vec<u8>, BusError>
where
    B: serde::Serialize + DynamicType,
{
    let context = Context::new_dbus(Endian::Little, 0);
    let content = to_bytes(context, body)?;
    let fields: Fields<'_> = vec![
        (PATH, ObjectPath::try_from(target.path)?.into()),
        (INTERFACE, target.interface.into()),
        (MEMBER, member.into()),
        (DESTINATION, target.destination.into()),
    ];
    let length = u32::try_from(content.len()).map_err(io::Error::other)?;
    let header: Header<'_> = (b'l', CALL, 0, PROTOCOL, length, serial, fields);
    let mut message = to_bytes(context, &header)?.to_vec();
    if !content.is_empty() {
        add_signature(&mut message, &body.signature().to_string_no_parens())?;
    }
    message.resize(message.len().next_multiple_of(8), 0);
    message.extend_from_slice(&content);
    Ok(message)
}

/// Adds the last field to a header. Arguments of a call are a list, whose signature has no parentheses;
/// zvariant would write them.
fn add_signature(header: &mut Vec<u8>, signature: &str) -> Result<(), BusError> {
    header.resize(header.len().next_multiple_of(8), 0);
    // The field's number; the signature of its value, which is `g`; its value.
    header.extend([SIGNATURE, 1, b'g', 0]);
    header.push(u8::try_from(signature.len()).map_err(io::Error::other)?);
    header.extend_from_slice(signature.as_bytes());
    header.push(0);
    let fields = u32::try_from(header.len() - FIXED).map_err(io::Error::other)?;
    header[FIXED - 4..FIXED].copy_from_slice(&fields.to_le_bytes());
    Ok(())
}

/// A message that has come.
#[derive(Debug, Default)]
pub(super) struct Message {
    pub(super) kind: u8,
    pub(super) member: String,
    pub(super) error: String,
    /// Serial number of the call that this answers.
    pub(super) answered: u32,
    big_endian: bool,
    body: Vec<u8>,
}

impl Message {
    /// Reads one message.
    pub(super) fn read(mut from: impl Read) -> Result<Self, BusError> {
        let mut bytes = vec![0; FIXED];
        from.read_exact(&mut bytes)?;
        let big_endian = bytes[0] == b'B';
        let number = |at: usize| {
            let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            if big_endian {
                u32::from_be_bytes(four)
            } else {
                u32::from_le_bytes(four)
            }
        };
        let (body, fields) = (number(4), number(12));
        let header = FIXED
            + usize::try_from(fields)
                .map_err(io::Error::other)?
                .next_multiple_of(8);
        let length = header.saturating_add(usize::try_from(body).map_err(io::Error::other)?);
        if length > LONGEST {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a message above 1 MiB").into());
        }
        bytes.resize(length, 0);
        from.read_exact(&mut bytes[FIXED..])?;
        let body = bytes.split_off(header);
        let mut message = Self {
            big_endian,
            body,
            ..Self::default()
        };
        message.read_header(&bytes)?;
        Ok(message)
    }

    fn read_header(&mut self, bytes: &[u8]) -> Result<(), BusError> {
        let data = Data::new(bytes, self.context());
        let (header, _): (Header<'_>, usize) = data.deserialize()?;
        self.kind = header.1;
        for (field, value) in header.6 {
            match (field, value) {
                (MEMBER, Value::Str(member)) => self.member = member.as_str().to_owned(),
                (ERROR_NAME, Value::Str(name)) => self.error = name.as_str().to_owned(),
                (ANSWERED, Value::U32(serial)) => self.answered = serial,
                _ => {}
            }
        }
        Ok(())
    }

    /// The message's arguments.
    pub(super) fn body(&self) -> Data<'_, '_> {
        Data::new(&self.body[..], self.context())
    }

    fn context(&self) -> Context {
        let endian = if self.big_endian {
            Endian::Big
        } else {
            Endian::Little
        };
        Context::new_dbus(endian, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Target = Target {
        destination: "d.d",
        path: "/p",
        interface: "i.i",
    };

    /// The arguments' signature as the fields of a message have it.
    fn signature(message: &[u8]) -> String {
        let data = Data::new(message, Context::new_dbus(Endian::Little, 0));
        let (header, _): (Header<'_>, usize) = data.deserialize().unwrap();
        let fields = header.6.into_iter();
        let found = fields.filter(|(field, _)| *field == SIGNATURE);
        let all: Vec<String> = found.map(|(_, value)| value.to_string()).collect();
        all.join(" and ")
    }

    #[test]
    fn arguments_are_a_list() {
        let message = call(&TARGET, "M", 7, &("a", true)).unwrap();
        assert_eq!(signature(&message), r#"signature "(sb)""#);
        // As it goes over the wire.
        assert!(
            message
                .windows(7)
                .any(|part| part == b"\x08\x01g\x00\x02sb")
        );
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let written = call(&TARGET, "M", 7, &("a", 5_u32)).unwrap();
        let message = Message::read(&written[..]).unwrap();
        assert_eq!((message.kind, message.member.as_str()), (CALL, "M"));
        let (body, _): ((String, u32), usize) = message.body().deserialize().unwrap();
        assert_eq!(body, ("a".to_owned(), 5));
    }

    #[test]
    fn a_message_that_ends_early_or_is_too_long_is_an_error() {
        let mut message = call(&TARGET, "M", 7, &()).unwrap();
        assert!(Message::read(&message[..message.len() - 1]).is_err());
        message[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        let error = Message::read(&message[..]).unwrap_err();
        assert!(
            matches!(error, BusError::Connection(error) if error.kind() == io::ErrorKind::InvalidData)
        );
    }
}
