//! PostgreSQL's protocol and nothing around it: what an attacker would speak. Everything that the
//! server says is kept, byte for byte, so that nothing it gives away is overlooked.

use sqlx::postgres::PgConnectOptions;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::UnixStream,
};

/// A connection over the cluster's socket.
pub(crate) struct Wire {
    stream: UnixStream,
    /// Whether the server has hung up.
    pub(crate) ended: bool,
}

/// All that came back for one message.
#[derive(Default)]
pub(crate) struct Said {
    /// The bodies of all messages, end to end.
    pub(crate) bytes: Vec<u8>,
    /// The SQLSTATE of the first error; none when all went well.
    pub(crate) sqlstate: Option<String>,
    /// The fields of every row, as text, NULL as nothing; long ones cut, for they are in `bytes`.
    pub(crate) rows: Vec<Vec<String>>,
}

impl Said {
    /// `ok`, or the SQLSTATE.
    pub(crate) fn outcome(&self) -> String {
        self.sqlstate.clone().unwrap_or_else(|| "ok".into())
    }

    /// The first field of the last row.
    pub(crate) fn last(&self) -> Option<&str> {
        Some(self.rows.last()?.first()?.as_str())
    }

    /// The same of a statement that must work.
    pub(crate) fn value(&self) -> &str {
        assert!(self.sqlstate.is_none(), "{}", String::from_utf8_lossy(&self.bytes));
        self.last().expect("a row")
    }
}

impl Wire {
    pub(crate) async fn connect(url: &str) -> Self {
        let options: PgConnectOptions = url.parse().expect("a URL");
        let folder = options.get_socket().expect("a socket's folder");
        let path = folder.join(format!(".s.PGSQL.{}", options.get_port()));
        let mut wire = Self { stream: UnixStream::connect(path).await.expect("the server's socket"), ended: false };
        let (user, database) = (options.get_username(), options.get_database().expect("a database"));
        let mut startup = 196_608_u32.to_be_bytes().to_vec();
        startup.extend_from_slice(format!("user\0{user}\0database\0{database}\0\0").as_bytes());
        wire.send(None, &startup).await;
        let said = wire.listen().await;
        assert!(said.sqlstate.is_none() && !wire.ended, "{}", String::from_utf8_lossy(&said.bytes));
        wire
    }

    /// The simple protocol: any number of statements.
    pub(crate) async fn query(&mut self, sql: &str) -> Said {
        self.send(Some(b'Q'), &terminated(sql)).await;
        self.listen().await
    }

    /// The extended protocol, unnamed, without parameters: one statement.
    pub(crate) async fn execute(&mut self, sql: &str) -> Said {
        self.execute_with(sql, 0).await
    }

    /// The same with so many values, each `1` in text. The protocol counts them in 16 bits: more wrap around.
    pub(crate) async fn execute_with(&mut self, sql: &str, values: usize) -> Said {
        let mut parse = vec![0];
        parse.extend_from_slice(&terminated(sql));
        parse.extend_from_slice(&[0, 0]);
        // Portal, statement, no formats; then the values, and no formats of results.
        let mut bind = vec![0, 0, 0, 0];
        bind.extend_from_slice(&(values as u16).to_be_bytes());
        bind.extend_from_slice(&[0, 0, 0, 1, b'1'].repeat(values));
        bind.extend_from_slice(&[0, 0]);
        self.send(Some(b'P'), &parse).await;
        self.send(Some(b'B'), &bind).await;
        self.send(Some(b'E'), &[0; 5]).await;
        self.send(Some(b'S'), &[]).await;
        self.listen().await
    }

    async fn send(&mut self, kind: Option<u8>, body: &[u8]) {
        let mut message: Vec<u8> = kind.into_iter().collect();
        message.extend_from_slice(&(body.len() as u32 + 4).to_be_bytes());
        message.extend_from_slice(body);
        if self.stream.write_all(&message).await.is_err() {
            self.ended = true;
        }
    }

    /// Until the server is ready again, or gone.
    async fn listen(&mut self) -> Said {
        let mut said = Said::default();
        loop {
            let mut header = [0; 5];
            if self.stream.read_exact(&mut header).await.is_err() {
                self.ended = true;
                return said;
            }
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize - 4;
            let from = said.bytes.len();
            said.bytes.resize(from + length, 0);
            if self.stream.read_exact(&mut said.bytes[from..]).await.is_err() {
                self.ended = true;
                return said;
            }
            let body = &said.bytes[from..];
            match header[0] {
                b'E' if said.sqlstate.is_none() => said.sqlstate = sqlstate(body),
                b'D' => said.rows.push(fields(body)),
                // The server waits for data to copy: there is none.
                b'G' => self.send(Some(b'f'), b"no data\0").await,
                b'Z' => return said,
                _ => {}
            }
        }
    }
}

fn terminated(sql: &str) -> Vec<u8> {
    let mut bytes = sql.as_bytes().to_vec();
    bytes.push(0);
    bytes
}

/// The field `C` of an error.
fn sqlstate(body: &[u8]) -> Option<String> {
    let mut fields = body.split(|byte| *byte == 0);
    let code = fields.find_map(|field| field.strip_prefix(b"C"))?;
    Some(String::from_utf8_lossy(code).into_owned())
}

/// A row: the number of its fields, then length and bytes of each, -1 for NULL.
fn fields(body: &[u8]) -> Vec<String> {
    const KEPT_BYTES: usize = 1_000;
    let mut fields = Vec::new();
    let mut rest = body.get(2..).unwrap_or_default();
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(i32::from_be_bytes(*length)).unwrap_or(0);
        let (field, after) = after.split_at(length);
        fields.push(String::from_utf8_lossy(&field[..length.min(KEPT_BYTES)]).into_owned());
        rest = after;
    }
    fields
}
