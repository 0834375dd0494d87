//! The loop: asks slurmctld, steps, gives orders, and waits for what comes of them.
//!
//! It ends by a signal, and by itself never. Asked to end it has opened what is closed (`leave`). Killed at any moment it leaves nothing that
//! has to be undone: an order that was given goes on on its node, and who comes next sees what it made.

mod leave;
mod tell;

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ::demand::Verdict;
use jiff::tz::TimeZone;

use super::errands::Errands;
use super::event::{Event, Kind};
use super::figures::{Figures, keyword};
use super::nodes::Nodes;
use super::reach::{Errand, Outcome};
use super::recall::Recall;
use super::recount::Recount;
use super::remarks::Remarks;
use super::step::{self, Kept, Said, Site, Step};
use super::wire::NodeOrder;
use crate::demand::Answers;
use crate::slurm::SlurmError;
use crate::slurm::control::{Control, listed};
use crate::wait::Stop;

/// What it does beside its decisions.
pub(crate) struct Service<'a> {
    pub(crate) site: Site<'a>,
    /// Whether users are told by AdminComment.
    pub(crate) comments: bool,
    /// Takes what is said.
    pub(crate) say: &'a mut dyn FnMut(&Event),
    /// Takes the figures, as text for Prometheus.
    pub(crate) publish: &'a mut dyn FnMut(&str),
}

/// Between two passes.
const PAUSE: Duration = Duration::from_secs(1);

/// After what was waited for has come. slurmctld is not asked more often, whatever nodes answer.
const SHORT: Duration = Duration::from_millis(200);

/// A pause is so many times as long as the answers of slurmctld took, at least: with many jobs they cost it something.
const REST: u32 = 2;

/// Longest pause while slurmctld does not answer.
const AWAY: Duration = Duration::from_secs(60);

/// Everything is looked at so often, though nobody waits: nodes come and go.
const WHOLE: u64 = 60;

/// Figures are published so often, though nothing happens: who reads them sees that it works.
const FIGURES: u64 = 15;

/// A loop under way.
struct Running<'a, 'b> {
    service: &'b mut Service<'a>,
    nodes: Nodes,
    kept: Kept<'a>,
    remarks: Remarks,
    recall: Recall,
    recount: Recount,
    figures: Figures,
    published: (Figures, u64),
    errands: Errands,
    /// Nodes to be looked at as soon as looks under way have ended.
    due: VecDeque<String>,
    /// Something is closed or looked at, or somebody waits for whom something may be done.
    busy: bool,
    /// Somebody waits.
    awaited: bool,
    /// When the first job has waited for as long as it has to before it is served, in seconds since 1970.
    ripe: Option<u64>,
    /// When everything was last looked at.
    whole: u64,
    silent_until: u64,
    /// When the last pass began.
    last: u64,
    /// Passes in a row without an answer of slurmctld.
    unanswered: u32,
    zone: TimeZone,
}

impl<'a> Service<'a> {
    /// Works until a signal comes, and then until what is closed is open, or a second one has come. Whether nothing stays closed.
    pub(crate) fn run(&mut self, stop: &Stop) -> bool {
        let mut running = Running::new(self);
        while !stop.is_set() {
            let pause = running.pass();
            running.wait(pause, stop);
        }
        running.leave(&Stop::on_signals().unwrap_or_default())
    }

    /// One pass, with the looks it needs before and until its orders are answered. Whether slurmctld answered, every node that was
    /// looked at was seen, and every order was carried out.
    pub(crate) fn once(&mut self) -> bool {
        let mut running = Running::new(self);
        running.pass();
        running.settle();
        running.busy = true;
        if running.figures.slurmctld {
            running.pass();
            running.settle();
            // No pass comes that would say what was cut.
            running.comment_on_cuts(now());
        }
        let bad = running.figures.answers.keys().any(|code| !["done", "nothing"].contains(code));
        running.figures.slurmctld && !bad && !running.nodes.has_unreached()
    }
}

impl<'a, 'b> Running<'a, 'b> {
    fn new(service: &'b mut Service<'a>) -> Self {
        let kept = Kept::new(&service.site);
        Running {
            service,
            nodes: Nodes::default(),
            kept,
            remarks: Remarks::default(),
            recall: Recall::default(),
            recount: Recount::default(),
            figures: Figures::default(),
            published: Default::default(),
            errands: Errands::default(),
            due: VecDeque::new(),
            busy: true,
            awaited: true,
            ripe: None,
            whole: 0,
            silent_until: 0,
            last: 0,
            unanswered: 0,
            zone: TimeZone::system(),
        }
    }

    /// One pass; how long to wait for the next.
    fn pass(&mut self) -> Duration {
        let (begin, now) = (Instant::now(), now());
        if now < self.last {
            self.set_back(now);
        }
        self.last = now;
        let asked = self.ask(now);
        match &asked {
            Ok(_) if self.unanswered > 0 => self.say(Event::new(Kind::Slurmctld, "answers again")),
            Err(error) if self.unanswered == 0 => {
                let what = super::wire::shown(&error.to_string());
                self.say(Event::new(Kind::Slurmctld, format!("is not asked for now: {what}")));
            }
            _ => {}
        }
        self.figures.slurmctld = asked.is_ok();
        let rest = begin.elapsed().saturating_mul(REST);
        let pause = match asked {
            Ok(answers) => {
                (self.unanswered, self.ripe) = (0, None);
                if let Some(answers) = answers {
                    self.decide(answers);
                }
                self.ripens().map_or(PAUSE, |ripens| ripens.clamp(SHORT, PAUSE)).max(rest)
            }
            Err(_) => {
                self.unanswered = self.unanswered.saturating_add(1);
                PAUSE.saturating_mul(1 << self.unanswered.min(6)).min(AWAY)
            }
        };
        self.figures.seconds = begin.elapsed().as_secs_f64();
        self.publish(now);
        pause
    }

    /// How long it takes until the first job has waited for long enough.
    fn ripens(&self) -> Option<Duration> {
        let at = UNIX_EPOCH.checked_add(Duration::from_secs(self.ripe?))?;
        Some(at.duration_since(SystemTime::now()).unwrap_or_default())
    }

    /// Whether the queue alone does not say enough.
    fn is_busy(&self, now: u64) -> bool {
        self.busy || self.nodes.unsettled(now)
    }

    /// The clock was set back: what was to be so until a time that is far now would be so for as long.
    fn set_back(&mut self, now: u64) {
        self.nodes.set_back(now);
        self.remarks.set_back(now);
        self.recall.set_back(now);
        self.recount.set_back(now);
        (self.whole, self.silent_until, self.published.1) = (0, 0, 0);
    }

    /// What slurmctld says; `None` where nobody waits and nothing is to be opened.
    fn ask(&self, now: u64) -> Result<Option<Answers>, SlurmError> {
        let control = Control::connect()?;
        if !self.awaited && !self.is_busy(now) && now.saturating_sub(self.whole) < WHOLE {
            let wants =
                |text: &String| listed(text).is_none_or(|all| all.iter().any(|(_, count)| *count > 0));
            if !control.requests()?.iter().any(|request| request.tres.iter().any(wants)) {
                return Ok(None);
            }
        }
        Answers::ask(control, now).map(Some)
    }

    fn decide(&mut self, answers: Answers) {
        let now = answers.now;
        self.whole = now;
        self.nodes.keep(&step::on_request(&answers));
        let away: BTreeSet<String> = step::away(&answers).into_iter().map(str::to_owned).collect();
        self.nodes.are_away(&away);
        let (policy, room) = (&self.service.site.policy, self.errands.room_for_orders());
        let Step { orders, events, jobs, again, closed, counts } =
            step::step(answers, &mut self.nodes, policy, &mut self.kept, &self.recall, room);
        events.into_iter().for_each(|event| self.say(event));
        for (node, order) in orders {
            self.order(&node, order, now);
        }
        let room = self.errands.room_for_orders();
        for node in self.nodes.to_finish(now).into_iter().filter(|node| !away.contains(node)).take(room) {
            self.order(&node, NodeOrder::default(), now);
        }
        self.due = self.nodes.to_see(now).into_iter().filter(|node| !away.contains(node)).collect();
        self.look(now);
        let awaited = jobs.iter().any(|(_, said)| may_change(said));
        self.busy = closed || self.service.site.policy.steer || self.errands.looks() > 0 || awaited;
        self.awaited = !jobs.is_empty();
        self.recount.pass(counts, awaited, now).into_iter().for_each(|event| self.say(event));
        let left = jobs.iter().filter_map(|(_, said)| match said {
            Ok(Verdict::Patience(left)) => Some(*left),
            _ => None,
        });
        self.ripe = left.min().map(|left| now.saturating_add(left));
        self.figures.waiting.values_mut().for_each(|count| *count = 0);
        for (_, said) in &jobs {
            *self.figures.waiting.entry(keyword(said)).or_default() += 1;
        }
        self.recall.keep(jobs.iter().map(|(job, _)| job), now);
        self.comment(&jobs, &self.recall.first(again), now);
    }

    fn order(&mut self, node: &str, order: NodeOrder, now: u64) {
        self.say(Event::of_node(Kind::Order, node, order.to_string()).for_job(order.job.as_deref()));
        self.figures.cuts += u64::from(order.cuts());
        self.send(node, Errand::Order(order), now);
    }

    /// Looks at nodes that are due, as many as there is room for.
    fn look(&mut self, now: u64) {
        while self.errands.has_room_for_look()
            && let Some(node) = self.due.pop_front()
        {
            self.send(&node, Errand::Look, now);
        }
    }

    fn send(&mut self, node: &str, errand: Errand, now: u64) {
        self.nodes.began(node, errand.clone(), now);
        let command = self.service.site.settings.arbiter.command(node);
        self.errands.send(node, command, errand);
    }

    /// Waits for the next pass. An order that is answered, or the last look that comes, ends it soon; a signal at once.
    fn wait(&mut self, pause: Duration, stop: &Stop) {
        let begin = Instant::now();
        let mut end = begin + pause;
        loop {
            let Some((node, outcome)) = self.errands.ended(Some(end.min(Instant::now() + SHORT))) else {
                if stop.is_set() || Instant::now() >= end {
                    break;
                }
                continue;
            };
            let ordered = outcome.order.is_some();
            self.ended(&node, outcome);
            if ordered || self.errands.looks() == 0 {
                end = end.min((Instant::now() + SHORT).max(begin + SHORT));
            }
        }
    }

    /// Waits until nothing is under way.
    fn settle(&mut self) {
        while self.errands.looks() + self.errands.orders() > 0
            && let Some((node, outcome)) = self.errands.ended(None)
        {
            self.ended(&node, outcome);
        }
    }

    fn ended(&mut self, node: &str, outcome: Outcome) {
        if let Some(answer) = &outcome.order {
            let word = answer.as_ref().map_or("no-answer", |answer| answer.code.word());
            *self.figures.answers.entry(word).or_default() += 1;
            let code = answer.as_ref().ok().map(|answer| answer.code);
            self.remarks.cut(node, code, now());
            // What it made is looked at.
            self.busy = true;
        }
        self.look(now());
        for event in self.nodes.ended(node, outcome, now()) {
            self.say(event);
        }
    }

    fn say(&mut self, event: Event) {
        (self.service.say)(&event);
    }

    fn publish(&mut self, now: u64) {
        self.figures.at = now;
        self.figures.nodes = self.nodes.names().count();
        self.figures.troubled = self.nodes.troubled();
        self.figures.orders_underway = self.errands.orders();
        let (before, at) = &self.published;
        if self.figures.differs(before) || now.saturating_sub(*at) >= FIGURES {
            (self.service.publish)(&self.figures.text());
            self.published = (self.figures.clone(), now);
        }
    }
}

/// Whether the next pass may find something to do for a job.
fn may_change(said: &Said) -> bool {
    !matches!(said, Err(_) | Ok(Verdict::Other(_) | Verdict::Never))
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
