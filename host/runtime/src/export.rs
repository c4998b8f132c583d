//! Whether a component exports what the contract asks for, checked when it is loaded: the bindings look
//! at the types only when there is an instance, which is when somebody calls.

use wasmtime::component::{
    Component,
    types::{ComponentItem, Type},
};

use crate::manifest::CONTRACT;

/// `tools.call` of `wit/tools.wit`, as [`written`] writes types.
const CALL: &str = "(string,string)->result<record{structured:string,text:option<string>},\
    variant{validation:record{code:string,message:string},authorization:record{code:string,message:string},\
    database:record{sqlstate:string,message:string},query-timeout:record{code:string,message:string},\
    unexpected:record{code:string,message:string}}>";

/// Check the export `tools`.
///
/// # Errors
/// A sentence.
pub(crate) fn check(component: &Component) -> Result<(), String> {
    let engine = component.engine();
    let name = format!("stockade:plugin/tools@{CONTRACT}");
    let ty = component.component_type();
    let Some(ComponentItem::ComponentInstance(tools)) = ty.get_export(engine, &name).map(|export| export.ty) else {
        return Err(format!("it does not export the interface `{name}`"));
    };
    let Some(ComponentItem::ComponentFunc(call)) = tools.get_export(engine, "call").map(|export| export.ty) else {
        return Err(format!("its interface `{name}` has no function `call`"));
    };
    let list = |types: &mut dyn Iterator<Item = Type>| types.map(|ty| written(&ty)).collect::<Vec<_>>().join(",");
    let found = format!("({})->{}", list(&mut call.params().map(|(_, ty)| ty)), list(&mut call.results()));
    if found == CALL { Ok(()) } else { Err(format!("its function `call` has another type than `{name}` gives it")) }
}

/// A type in words; only those that the contract has here.
fn written(ty: &Type) -> String {
    let optional = |ty: Option<Type>| ty.map_or("_".into(), |ty| written(&ty));
    match ty {
        Type::String => "string".into(),
        Type::Option(option) => format!("option<{}>", written(&option.ty())),
        Type::Result(result) => format!("result<{},{}>", optional(result.ok()), optional(result.err())),
        Type::Record(record) => {
            let fields = record.fields().map(|field| format!("{}:{}", field.name, written(&field.ty)));
            format!("record{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Type::Variant(variant) => {
            let cases = variant.cases().map(|case| format!("{}:{}", case.name, optional(case.ty)));
            format!("variant{{{}}}", cases.collect::<Vec<_>>().join(","))
        }
        _ => "another".into(),
    }
}
