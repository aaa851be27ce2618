//! Consumer groups: members, their partitions, and committed offsets. A member never gets a
//! partition that another one has not released.

use std::collections::{HashMap, VecDeque};

use crate::log::{CommittedOffset, Membership, Topic, TopicPartition};

#[derive(Debug, Default)]
pub(super) struct Member {
    pub(super) id: u64,
    pub(super) assigned: Vec<i32>,
    /// Whether a rebalance waits until this member releases its partitions.
    pub(super) must_revoke: bool,
    /// The changes that the member has not polled yet.
    pub(super) changes: VecDeque<Membership>,
}

#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) topics: Vec<Topic>,
    pub(super) members: Vec<Member>,
    /// Whether partitions are to be assigned as soon as all members have released theirs.
    pub(super) is_rebalancing: bool,
    /// The committed offsets.
    pub(super) offsets: HashMap<TopicPartition, CommittedOffset>,
}

impl Group {
    pub(super) fn member(&self, id: u64) -> Option<&Member> {
        self.members.iter().find(|member| member.id == id)
    }

    fn member_mut(&mut self, id: u64) -> Option<&mut Member> {
        self.members.iter_mut().find(|member| member.id == id)
    }

    /// Starts a rebalance: every member must release its partitions.
    pub(super) fn rebalance(&mut self) {
        for member in &mut self.members {
            member.must_revoke = !member.assigned.is_empty();
        }
        self.is_rebalancing = true;
    }

    /// Takes all partitions from all members, as a missed session timeout does.
    pub(super) fn expire_members(&mut self) {
        for member in &mut self.members {
            member.must_revoke = false;
            let lost = std::mem::take(&mut member.assigned);
            member.changes.push_back(Membership::Lost(lost));
        }
        self.is_rebalancing = true;
    }

    /// Serves the member `id`: it releases its partitions if it must, and when all members have
    /// released theirs, each gets its range of the `count` partitions. Returns the member's
    /// changes.
    pub(super) fn serve(&mut self, id: u64, count: usize) -> VecDeque<Membership> {
        if let Some(member) = self.member_mut(id)
            && std::mem::take(&mut member.must_revoke)
        {
            let revoked = std::mem::take(&mut member.assigned);
            member.changes.push_back(Membership::Revoked(revoked));
        }
        if self.is_rebalancing && self.members.iter().all(|member| !member.must_revoke) {
            self.is_rebalancing = false;
            self.assign(count);
        }
        self.member_mut(id).map(|member| std::mem::take(&mut member.changes)).unwrap_or_default()
    }

    fn assign(&mut self, count: usize) {
        let members = self.members.len();
        let mut next = 0;
        for (index, member) in self.members.iter_mut().enumerate() {
            let share = count / members + usize::from(index < count % members);
            member.assigned = (next..next + share).map(|partition| partition as i32).collect();
            next += share;
            if !member.assigned.is_empty() {
                member.changes.push_back(Membership::Assigned(member.assigned.clone()));
            }
        }
    }
}
