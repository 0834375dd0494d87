//! What the source says: crates and their dependencies from cargo, modules and their imports from the files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use syn::visit::{self, Visit};

use super::Imports;

/// A crate of the workspace.
pub(super) struct Crate {
    pub(super) name: String,
    /// Crates of the workspace that it is built with.
    pub(super) depends: BTreeSet<String>,
    /// Imports between siblings, by the module they stand in; the crate itself is "".
    pub(super) folders: BTreeMap<String, Imports>,
}

/// The crates of the workspace, without those that only tests use.
pub(super) fn crates(checkout: &Path) -> Vec<Crate> {
    let cargo = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(checkout)
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&cargo.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<&str> = packages.iter().map(|p| p["name"].as_str().unwrap()).collect();
    let mut crates = Vec::new();
    for package in packages.iter().filter(|package| package["name"] != "lab") {
        let built = package["dependencies"].as_array().unwrap().iter().filter(|d| d["kind"].is_null());
        let depends = built.map(|d| d["name"].as_str().unwrap()).filter(|name| names.contains(name));
        let targets = package["targets"].as_array().unwrap();
        let is_library = |t: &&serde_json::Value| {
            let kinds = t["kind"].as_array().unwrap();
            kinds.iter().any(|kind| ["lib", "rlib", "cdylib"].map(|k| k == kind).contains(&true))
        };
        let library = targets.iter().find(is_library).unwrap()["src_path"].as_str().unwrap();
        crates.push(Crate {
            name: package["name"].as_str().unwrap().to_owned(),
            depends: depends.map(str::to_owned).collect(),
            folders: folders(Path::new(library)),
        });
    }
    crates.sort_by(|a, b| a.name.cmp(&b.name));
    crates
}

/// One import: from the module at a path to something at another.
struct Import {
    from: Vec<String>,
    to: Vec<String>,
}

/// What a crate's modules import from each other, gathered by walking from its root.
#[derive(Default)]
struct Walk {
    modules: BTreeSet<Vec<String>>,
    imports: Vec<Import>,
    /// Where names that a module re-exports come from.
    reexports: BTreeMap<Vec<String>, Vec<String>>,
}

fn folders(library: &Path) -> BTreeMap<String, Imports> {
    let mut walk = Walk::default();
    walk.module(library, library.parent().unwrap(), &[]);
    let mut folders: BTreeMap<String, Imports> = BTreeMap::new();
    for module in walk.modules.iter().filter(|module| !module.is_empty()) {
        let (name, parent) = module.split_last().unwrap();
        folders.entry(parent.join("::")).or_default().entry(name.clone()).or_default();
    }
    for import in &walk.imports {
        let to = walk.resolved(&import.to);
        // Below the last module both are in, they are in two siblings: an import of one by the other.
        let common = import.from.iter().zip(&to).take_while(|(a, b)| a == b).count();
        if let (Some(from), Some(to)) = (import.from.get(common), to.get(common)) {
            let siblings = folders.get_mut(&import.from[..common].join("::"));
            if let Some(imports) = siblings.filter(|s| s.contains_key(from) && s.contains_key(to)) {
                imports.get_mut(from).unwrap().insert(to.clone());
            }
        }
    }
    folders
}

impl Walk {
    /// Reads one file, and the files of its modules.
    fn module(&mut self, file: &Path, folder: &Path, path: &[String]) {
        self.modules.insert(path.to_vec());
        let text = std::fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let parsed = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.items(&parsed.items, folder, path);
    }

    fn items(&mut self, items: &[syn::Item], folder: &Path, path: &[String]) {
        for item in items {
            if let syn::Item::Mod(module) = item {
                let name = module.ident.to_string();
                let inner = [path, std::slice::from_ref(&name)].concat();
                match &module.content {
                    _ if is_test(&module.attrs) => {}
                    Some((_, items)) => self.items(items, &folder.join(&name), &inner),
                    None => self.module(&folder.join(format!("{name}.rs")), &folder.join(&name), &inner),
                }
                continue;
            }
            if let syn::Item::Use(used) = item {
                let public = !matches!(used.vis, syn::Visibility::Inherited);
                let mut names = Vec::new();
                flatten(&used.tree, &mut Vec::new(), &mut names);
                for name in names {
                    let to = absolute(&name, path, used.leading_colon.is_some());
                    if let (true, Some(to), Some(last)) = (public, &to, name.last()) {
                        self.reexports.insert([path, std::slice::from_ref(last)].concat(), to.clone());
                    }
                    self.import(path, to);
                }
                continue;
            }
            let mut paths = Paths::default();
            paths.visit_item(item);
            for name in paths.0 {
                let to = absolute(&name, path, false);
                self.import(path, to);
            }
        }
    }

    fn import(&mut self, from: &[String], to: Option<Vec<String>>) {
        self.imports.extend(to.map(|to| Import { from: from.to_vec(), to }));
    }

    /// Follows re-exports to where a name is defined.
    fn resolved(&self, path: &[String]) -> Vec<String> {
        let mut path = path.to_vec();
        for _ in 0..8 {
            let known = (1..=path.len()).find_map(|end| {
                let target = self.reexports.get(&path[..end])?;
                // A module that is declared there is itself, also when somebody re-exports it elsewhere.
                (!self.modules.contains(&path[..end])).then(|| [target, &path[end..]].concat())
            });
            match known {
                Some(next) if next != path => path = next,
                _ => break,
            }
        }
        path
    }
}

/// A path from the crate's root, for `crate::`, `self::`, `super::` and names of modules beside.
fn absolute(name: &[String], here: &[String], global: bool) -> Option<Vec<String>> {
    let (first, rest) = name.split_first()?;
    match first.as_str() {
        _ if global => None,
        "crate" => Some(rest.to_vec()),
        "self" => Some([here, rest].concat()),
        "super" => {
            let up = name.iter().take_while(|word| *word == "super").count();
            Some([here.get(..here.len().checked_sub(up)?)?, &name[up..]].concat())
        }
        _ => Some([here, name].concat()),
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|a| a.path().is_ident("cfg") && quoted(a).contains("test"))
}

fn quoted(attribute: &syn::Attribute) -> String {
    match &attribute.meta {
        syn::Meta::List(list) => list.tokens.to_string(),
        _ => String::new(),
    }
}

/// The paths of a `use`, each whole.
fn flatten(tree: &syn::UseTree, prefix: &mut Vec<String>, into: &mut Vec<Vec<String>>) {
    match tree {
        syn::UseTree::Path(path) => {
            prefix.push(path.ident.to_string());
            flatten(&path.tree, prefix, into);
            prefix.pop();
        }
        syn::UseTree::Name(name) if name.ident == "self" => into.push(prefix.clone()),
        syn::UseTree::Name(name) => into.push([prefix.as_slice(), &[name.ident.to_string()]].concat()),
        syn::UseTree::Rename(name) => into.push([prefix.as_slice(), &[name.ident.to_string()]].concat()),
        syn::UseTree::Glob(_) => into.push(prefix.clone()),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, prefix, into)),
    }
}

/// Paths of several words in expressions, types and patterns.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.0.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }
}
