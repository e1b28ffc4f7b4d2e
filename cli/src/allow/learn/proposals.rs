//! What was seen, collected shape by shape; then rules, each of which admits every request that it was made of.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
};

use agent::whitelist::{Rule, Whitelist};
use http::Method;
use proto::wire::{RequestHead, ServiceName};

use super::{
    enforced,
    fold::{Part, Shape, short_number},
    line::{Line, Verdict},
};
use crate::allow::{
    block::{self, count, tame},
    head,
};

/// Most words at one place, with all else equal, that are taken for words of the API. Where more stand, somebody
/// chooses them, such as names of users; few APIs have as many collections side by side.
const WORDS: usize = 20;

/// Most segments of a path whose words are compared with those of others.
const COMPARED: usize = 32;

/// Most bytes to remember. Whoever sends requests can make up as many paths as they like.
const KEPT_BYTES: usize = 64 * 1024 * 1024;

/// What a shape takes beside its paths, in bytes, roughly.
const SHAPE_BYTES: usize = 1024;

/// Most names of parameters to remember for one shape, and most characters of each.
const NAMES: usize = 12;
const NAME_CHARS: usize = 32;

/// Everything seen so far.
#[derive(Default)]
pub(super) struct Proposals {
    groups: BTreeMap<(String, String), Group>,
    kept: usize,
}

/// What was seen of one method at one service.
struct Group {
    service: ServiceName,
    method: Method,
    shapes: BTreeMap<Shape, Seen>,
}

/// What was seen of one shape.
struct Seen {
    requests: u64,
    /// A path of each shape that has become this one.
    examples: Vec<String>,
    /// The rule that allowed these requests, if one has allowed them all.
    allowed_by: Option<String>,
    /// The names of their queries' parameters, or how they begin.
    query: BTreeSet<String>,
    /// Places where a short number stood, and never anything else.
    numbers: BTreeMap<usize, Box<str>>,
    /// How many words stood at places that were opened because of them.
    words: BTreeMap<usize, usize>,
    /// The rule for this shape and no other, to judge with.
    whitelist: Whitelist,
}

impl Proposals {
    /// Takes in a request.
    ///
    /// # Errors
    /// Why no rule of the short form can allow it, or that there is no more room.
    pub(super) fn add(&mut self, line: &Line) -> Result<(), String> {
        let request = head(line.service.clone(), line.method.clone(), line.target());
        let shape = Shape::of(&line.path).ok_or_else(|| why_never(&request))?;
        let group = self.groups.entry((line.service.to_string(), line.method.to_string()));
        let group = group.or_insert_with(|| Group::new(&request));
        if let Some(seen) = group.shapes.get_mut(&shape) {
            seen.whitelist.admit(&request).map_err(|denied| denied.to_string())?;
            seen.numbers.retain(|place, number| short_number(&line.path, *place).as_ref() == Some(number));
            seen.add(line);
            return Ok(());
        }
        let whitelist = group.admitting(&shape).ok_or_else(|| why_never(&request))?;
        whitelist.admit(&request).map_err(|denied| denied.to_string())?;
        // The path is kept twice, once in its shape.
        let room = 2 * line.path.len() + SHAPE_BYTES;
        if self.kept + room > KEPT_BYTES {
            return Err("there were too many different paths before it".to_owned());
        }
        self.kept += room;
        let numbers = shape.ids().filter_map(|place| Some((place, short_number(&line.path, place)?))).collect();
        group.shapes.insert(shape, Seen::new(line, numbers, whitelist));
        Ok(())
    }

    /// The proposals of each service, most used first.
    pub(super) fn into_services(self) -> BTreeMap<String, Vec<block::Line>> {
        let mut services: BTreeMap<String, Vec<Group>> = BTreeMap::new();
        for ((service, _), group) in self.groups {
            services.entry(service).or_default().push(group);
        }
        let lines = |mut groups: Vec<Group>| {
            keep_constant_numbers(&mut groups);
            let mut paths: BTreeMap<Shape, Vec<(Method, Seen)>> = BTreeMap::new();
            for (method, shape, seen) in groups.into_iter().flat_map(Group::into_rules) {
                paths.entry(shape).or_default().push((method, seen));
            }
            by_use(paths)
        };
        services.into_iter().map(|(name, groups)| (name, lines(groups))).collect()
    }
}

impl Group {
    fn new(request: &RequestHead) -> Self {
        Self { service: request.service.clone(), method: request.method.clone(), shapes: BTreeMap::new() }
    }

    /// A whitelist with one rule; none if there is no such rule.
    fn admitting(&self, shape: &Shape) -> Option<Whitelist> {
        let rule: Rule = format!("{} {shape}", self.method).parse().ok()?;
        Some(whitelist(&self.service, vec![rule]))
    }

    /// The shapes for which there will be rules. The first segment stays as it is: what stands there is the API.
    fn into_rules(mut self) -> impl Iterator<Item = (Method, Shape, Seen)> {
        for place in (1..COMPARED).rev() {
            self.shapes = opened(std::mem::take(&mut self.shapes), place);
        }
        for (shape, seen) in &self.shapes {
            let rule = self.admitting(shape).expect("a shape with fewer words in it is a rule as well");
            let admits =
                |path: &String| rule.admit(&head(self.service.clone(), self.method.clone(), path.clone())).is_ok();
            assert!(seen.examples.iter().all(admits), "a proposal admits what it was made of");
        }
        self.shapes.into_iter().map(move |(shape, seen)| (self.method.clone(), shape, seen))
    }
}

impl Seen {
    fn new(line: &Line, numbers: BTreeMap<usize, Box<str>>, whitelist: Whitelist) -> Self {
        let mut seen = Self {
            requests: 0,
            examples: vec![line.path.clone()],
            allowed_by: line.rule.clone(),
            query: BTreeSet::new(),
            numbers,
            words: BTreeMap::new(),
            whitelist,
        };
        seen.add(line);
        seen
    }

    fn add(&mut self, line: &Line) {
        self.requests += 1;
        if line.verdict != Verdict::Allowed || line.rule != self.allowed_by {
            self.allowed_by = None;
        }
        let room = NAMES.saturating_sub(self.query.len());
        self.query.extend(line.query.iter().take(room).map(|name| name.chars().take(NAME_CHARS).collect()));
    }

    fn join(&mut self, other: Self) {
        self.requests += other.requests;
        self.examples.extend(other.examples);
        if self.allowed_by != other.allowed_by {
            self.allowed_by = None;
        }
        self.query.extend(other.query);
        self.words.extend(other.words);
    }
}

fn whitelist(service: &ServiceName, rules: Vec<Rule>) -> Whitelist {
    Whitelist::new([(service.clone(), enforced(rules))])
}

/// Why even the widest rules do not allow a request.
fn why_never(request: &RequestHead) -> String {
    let widest = ["/", "/**"].map(|path| format!("{} {path}", request.method).parse());
    let rules: Result<Vec<Rule>, _> = widest.into_iter().collect();
    match rules.map(|rules| whitelist(&request.service, rules).admit(request)) {
        Ok(Err(denied)) => denied.to_string(),
        Ok(Ok(_)) => "its path cannot be written as a rule".to_owned(),
        Err(error) => error.message,
    }
}

/// Makes a short number a word again where it was the only one at its place, with whatever method, and more than one
/// path went on behind it: a version, say. Identifiers that are worth a wildcard come in numbers.
fn keep_constant_numbers(groups: &mut [Group]) {
    for place in 0..COMPARED {
        // By what stood before it.
        let mut stood: BTreeMap<&[Part], Vec<Stood<'_>>> = BTreeMap::new();
        for (Shape { parts }, seen) in groups.iter().flat_map(|group| &group.shapes) {
            if parts.get(place) == Some(&Part::Id) {
                let number = seen.numbers.get(&place).map(AsRef::as_ref);
                stood.entry(&parts[..place]).or_default().push((number, &parts[place + 1..]));
            }
        }
        let constants: BTreeMap<Vec<Part>, Part> =
            stood.into_iter().filter_map(|(before, stood)| Some((before.to_vec(), constant(&stood)?))).collect();
        for group in groups.iter_mut().filter(|_| !constants.is_empty()) {
            let shapes = std::mem::take(&mut group.shapes).into_iter().map(|(mut shape, seen)| {
                let constant = shape.parts.get(..place).and_then(|before| constants.get(before));
                if let (Some(part @ Part::Id), Some(constant)) = (shape.parts.get_mut(place), constant.cloned()) {
                    *part = constant;
                }
                (shape, seen)
            });
            group.shapes = shapes.collect();
        }
    }
}

/// What stood at a place, if it was one short number, and what behind it.
type Stood<'a> = (Option<&'a str>, &'a [Part]);

fn constant(stood: &[Stood<'_>]) -> Option<Part> {
    let (number, behind) = *stood.first()?;
    let alone = stood.iter().all(|(other, _)| *other == number);
    (alone && stood.iter().any(|(_, other)| *other != behind)).then_some(Part::Literal(number?.into()))
}

/// Joins shapes that differ in nothing but the word at one place, if there are too many for an API.
fn opened(shapes: BTreeMap<Shape, Seen>, place: usize) -> BTreeMap<Shape, Seen> {
    let mut words: BTreeMap<Shape, usize> = BTreeMap::new();
    for shape in shapes.keys().filter(|shape| shape.parts.len() <= COMPARED) {
        if let Some(open) = shape.opened_at(place) {
            *words.entry(open).or_default() += 1;
        }
    }
    words.retain(|_, words| *words > WORDS);
    let mut joined: BTreeMap<Shape, Seen> = BTreeMap::new();
    for (shape, mut seen) in shapes {
        let open = shape.opened_at(place).filter(|open| words.contains_key(open));
        if let Some(words) = open.as_ref().and_then(|open| words.get(open)) {
            seen.words.insert(place, *words);
        }
        match joined.entry(open.unwrap_or(shape)) {
            Entry::Vacant(entry) => {
                entry.insert(seen);
            }
            Entry::Occupied(mut entry) => entry.get_mut().join(seen),
        }
    }
    joined
}

/// One proposal for each path, with all its methods.
fn by_use(paths: BTreeMap<Shape, Vec<(Method, Seen)>>) -> Vec<block::Line> {
    let mut proposals: Vec<_> = paths.into_iter().map(|(shape, methods)| proposal(&shape, methods)).collect();
    // Among equals the order of the paths stays.
    proposals.sort_by_key(|(requests, _)| Reverse(*requests));
    proposals.into_iter().map(|(_, line)| line).collect()
}

fn proposal(shape: &Shape, mut methods: Vec<(Method, Seen)>) -> (u64, block::Line) {
    methods.sort_by_key(|(_, seen)| Reverse(seen.requests));
    let names: Vec<&str> = methods.iter().map(|(method, _)| method.as_str()).collect();
    let rule = format!("{} {shape}", names.join(","));
    let uses: Vec<String> = methods.iter().map(|(method, seen)| format!("{method} {}", seen.requests)).collect();
    let mut rest = methods.into_iter().map(|(_, seen)| seen);
    let mut all = rest.next().expect("a path was seen with a method");
    rest.for_each(|seen| all.join(seen));
    let mut notes = vec![count(all.requests, "request")];
    if uses.len() > 1 {
        notes.push(uses.join(", "));
    }
    notes.extend(remarks(shape, &all));
    (all.requests, block::Line { rule, comment: notes.join("; ") })
}

/// What whoever pastes the rule should know.
fn remarks(shape: &Shape, seen: &Seen) -> Vec<String> {
    let mut remarks = Vec::new();
    if shape.parts.contains(&Part::Id) {
        remarks.extend(seen.examples.first().map(|path| format!("such as {}", tame(path))));
    }
    if shape.parts.first() == Some(&Part::Id) {
        remarks.push("CHECK: anything may stand first".to_owned());
    }
    for (place, words) in &seen.words {
        remarks.push(format!("CHECK: segment {} was {words} different words", place + 1));
    }
    remarks.extend(seen.allowed_by.as_ref().map(|rule| format!("allowed by {}", tame(rule))));
    if !seen.query.is_empty() {
        let names: Vec<&str> = seen.query.iter().map(String::as_str).collect();
        remarks.push(format!("query: {}", tame(&names.join(", "))));
    }
    remarks
}
