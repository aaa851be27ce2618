//! The other judges, and their known differences from the specification.

use apache_avro::{
    Schema,
    reader::datum::GenericDatumReader,
    schema_compatibility::{Compatibility, SchemaCompatibility},
    writer::datum::GenericDatumWriter,
};
use schemas::compatibility::{Kind, Problem, Severity};

use crate::shape::Shape;

/// Whether apache-avro's parser refuses a default that the specification allows: in the default of
/// a record, text for a union is tried as the union's uuid or string, never as the symbol of its
/// enum.
pub(crate) fn is_refused_default(error: &apache_avro::Error) -> bool {
    error.to_string().starts_with("`default`'s value type of field")
}

/// Reads every value of `writer`. Returns the error of the first one that fails.
pub(crate) fn reads(writer: &Shape, old: &Schema, new: &Schema) -> Result<(), String> {
    let write = GenericDatumWriter::builder(old).human_readable(true).build().expect("a writer");
    let reader = GenericDatumReader::builder(old)
        .human_readable(true)
        .reader_schema(new)
        .build()
        .expect("a reader");
    for value in writer.values() {
        let bytes = write
            .write_value_to_vec(value.clone())
            .unwrap_or_else(|error| panic!("{value:?}: {error}"));
        reader.read_value(&mut bytes.as_slice()).map_err(|error| format!("{value:?}: {error}"))?;
    }
    Ok(())
}

/// The result of apache-avro.
pub(crate) fn can_read(old: &Schema, new: &Schema) -> Result<(), String> {
    match SchemaCompatibility::can_read(old, new) {
        Ok(Compatibility::Full) => Ok(()),
        Ok(Compatibility::Partial) => Err("partly".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether apache-avro's reader is known to differ from the specification in this case.
pub(crate) fn reading_differs(problems: &[Problem], is_readable: bool, reader: &Shape) -> bool {
    // The specification lets readers use aliases; apache-avro does not look at those of fields: it
    // fails, or takes the default.
    if problems.iter().any(|one| one.kind == Kind::ReadByAlias) {
        return true;
    }
    if is_readable {
        return problems.iter().any(|one| match one.kind {
            // The specification promotes bytes to strings; that some values are no UTF-8, only a
            // warning can say.
            Kind::BytesAsText => true,
            // The specification resolves the types below and leaves logical types out. apache-avro
            // reads a uuid as nothing but a uuid, and a time only as a time of its own unit.
            Kind::LogicalTypeChanged => true,
            _ => false,
        });
    }
    // apache-avro tries the branches of a reader's union with the value, where the specification
    // takes the first one that matches by name and type. With several records, enums or maps,
    // another branch may fit by chance.
    reader.has_rich_union()
        // Every problem must be one that apache-avro ignores.
        || problems.iter().filter(|one| one.kind.severity() == Severity::Break).all(is_lenient)
}

/// Whether apache-avro's reader ignores this problem against the specification, because its values
/// have neither names nor their writer's type.
fn is_lenient(problem: &Problem) -> bool {
    let word = |text: &str| {
        let text = text.strip_prefix("any of ").unwrap_or(text);
        let branches = text.split(", ");
        branches
            .map(|branch| branch.split(' ').next().unwrap_or(branch).to_owned())
            .collect::<Vec<_>>()
    };
    match problem.kind {
        Kind::NameChanged => true,
        Kind::TypeChanged | Kind::BranchUnknown => {
            let written = word(problem.written.as_deref().unwrap_or_default());
            let read = word(&problem.read);
            written
                .iter()
                .any(|from| read.iter().any(|to| LENIENT.contains(&(from.as_str(), to.as_str()))))
        }
        _ => false,
    }
}

/// Types that apache-avro's reader confuses, though the specification does not promote them: some
/// depend on the value (text that is a symbol, bytes of the right length), and a double is cut to a
/// float.
const LENIENT: [(&str, &str); 12] = [
    // Types of other names, because values have none.
    ("record", "record"),
    ("enum", "enum"),
    ("fixed", "fixed"),
    ("double", "float"),
    ("string", "fixed"),
    ("string", "enum"),
    ("bytes", "fixed"),
    ("fixed", "string"),
    ("map", "record"),
    ("uuid", "fixed"),
    ("uuid", "string"),
    ("array", "bytes"),
];

/// Whether apache-avro's `SchemaCompatibility` is known to differ from the specification in this
/// case.
pub(crate) fn can_read_differs(
    problems: &[Problem],
    is_readable: bool,
    old: &Schema,
    new: &Schema,
) -> bool {
    // Aliases of types are not looked at, which the specification allows but Java and this crate do
    // not.
    if problems.iter().any(|one| one.kind == Kind::ReadByAlias) {
        return true;
    }
    if is_readable {
        // A reference on one side and a definition on the other are held for different types: a
        // bug.
        return has_reference(old) || has_reference(new);
    }
    // A pair of references with equal names counts as compatible without a look at what they refer
    // to: sound only where the definitions were compared before.
    (has_reference(old) && has_reference(new))
        // Of two branches with the same name in different namespaces it takes the one that fits,
        // where readers take the one of the written full name: nobody would read it so.
        || has_twins(new)
}

fn has_twins(schema: &Schema) -> bool {
    match schema {
        Schema::Array(array) => has_twins(&array.items),
        Schema::Map(map) => has_twins(&map.types),
        Schema::Union(union) => {
            let names: Vec<_> =
                union.variants().iter().filter_map(Schema::name).map(|name| name.name()).collect();
            (1..names.len()).any(|index| names[..index].contains(&names[index]))
                || union.variants().iter().any(has_twins)
        }
        Schema::Record(record) => record.fields.iter().any(|field| has_twins(&field.schema)),
        _ => false,
    }
}

fn has_reference(schema: &Schema) -> bool {
    match schema {
        Schema::Ref { .. } => true,
        Schema::Array(array) => has_reference(&array.items),
        Schema::Map(map) => has_reference(&map.types),
        Schema::Union(union) => union.variants().iter().any(has_reference),
        Schema::Record(record) => record.fields.iter().any(|field| has_reference(&field.schema)),
        _ => false,
    }
}
