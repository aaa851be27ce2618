//! Values of a random schema, as apache-avro has them.

use apache_avro::types::Value;
use uuid::Uuid;

use crate::shape::Shape;

impl Shape {
    /// Values of the type: every branch and symbol, and the ends of numbers.
    pub(crate) fn values(&self) -> Vec<Value> {
        let mut values: Vec<Value> = match self {
            Self::Plain("null") => vec![Value::Null],
            Self::Plain("boolean") => vec![Value::Boolean(true)],
            Self::Plain("int") => vec![Value::Int(i32::MIN), Value::Int(7)],
            Self::Plain("long") => vec![Value::Long(i64::MAX), Value::Long(7)],
            Self::Plain("float") => vec![Value::Float(1.5)],
            Self::Plain("double") => vec![Value::Double(1e300)],
            Self::Plain("bytes") => {
                vec![Value::Bytes(vec![0xFF, 0xFE, 0, 1, 2]), Value::Bytes(Vec::new())]
            }
            Self::Plain(_) => {
                vec![Value::String("some text".to_owned()), Value::String(String::new())]
            }
            Self::Logical("date", _) => vec![Value::Date(1)],
            Self::Logical("timestamp-millis", _) => vec![Value::TimestampMillis(i64::MAX)],
            Self::Logical("timestamp-micros", _) => vec![Value::TimestampMicros(i64::MAX)],
            Self::Logical(..) => vec![Value::Uuid(Uuid::from_u128(1 << 127))],
            Self::Array(inner) => {
                inner.values().into_iter().map(|value| Value::Array(vec![value])).collect()
            }
            Self::Map(inner) => {
                let of = |value| Value::Map([("key".to_owned(), value)].into());
                inner.values().into_iter().map(of).collect()
            }
            Self::Union(branches) => (0..)
                .zip(branches)
                .flat_map(|(index, branch)| {
                    branch
                        .values()
                        .into_iter()
                        .map(move |value| Value::Union(index, Box::new(value)))
                })
                .collect(),
            Self::Record(_, fields) => {
                let mut all: Vec<(&str, Vec<Value>)> =
                    fields.iter().map(|field| (field.name, field.shape.values())).collect();
                let first =
                    all.iter().map(|(name, values)| ((*name).to_owned(), values[0].clone()));
                let inner = Value::Union(1, Box::new(Value::Record(first.collect())));
                for ((_, values), _) in
                    all.iter_mut().zip(fields).filter(|(_, field)| field.shape == Self::Around)
                {
                    values.push(inner.clone());
                }
                let of = |changed: usize, index: usize| {
                    let value = |at: usize, values: &[Value]| {
                        values[if at == changed { index } else { 0 }].clone()
                    };
                    let fields = all.iter().enumerate();
                    Value::Record(
                        fields
                            .map(|(at, (name, values))| ((*name).to_owned(), value(at, values)))
                            .collect(),
                    )
                };
                let mut values = vec![of(0, 0)];
                for (changed, (_, inner)) in all.iter().enumerate() {
                    values.extend((1..inner.len()).map(|index| of(changed, index)));
                }
                values
            }
            Self::Enum(_, symbols, _) => (0..)
                .zip(symbols)
                .map(|(index, symbol)| Value::Enum(index, (*symbol).to_owned()))
                .collect(),
            Self::Fixed(_, size) => vec![Value::Fixed(*size, vec![0xFF; *size])],
            Self::Around => vec![Value::Union(0, Box::new(Value::Null))],
        };
        values.truncate(64);
        values
    }
}
