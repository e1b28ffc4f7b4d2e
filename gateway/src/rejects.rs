//! Why an agent that has said hello is sent away, and for how long: each `reject` of the gateway.

use proto::wire::{Reject, ServiceName};

use crate::limits::{DRAINING_HOLD_OFF, LINKS_PER_AGENT, PENDING_HOLD_OFF, REJECT_HOLD_OFF};

/// The code where a service is claimed that the credential does not permit, also in the middle of a link.
pub(crate) const NOT_PERMITTED: &str = "service_not_permitted";

/// It claims what its credential does not permit.
pub(crate) fn not_permitted(service: &ServiceName) -> Reject {
    Reject {
        code: NOT_PERMITTED.to_owned(),
        message: format!("the credential does not permit the service {service}; add it to the gateway's agents list"),
        retry_after: REJECT_HOLD_OFF,
    }
}

/// It has as many links as one agent may have.
pub(crate) fn too_many_links() -> Reject {
    Reject {
        code: "too_many_links".to_owned(),
        message: format!("the agent has {LINKS_PER_AGENT} links to this gateway already"),
        retry_after: REJECT_HOLD_OFF,
    }
}

/// The gateway is about to end.
pub(crate) fn draining() -> Reject {
    Reject {
        code: "draining".to_owned(),
        message: "this gateway is draining".to_owned(),
        retry_after: DRAINING_HOLD_OFF,
    }
}

/// Somebody has decided so.
pub(crate) fn rejected() -> Reject {
    Reject {
        code: "rejected".to_owned(),
        message: "this gateway's operator has rejected the agent, or revoked its approval".to_owned(),
        retry_after: REJECT_HOLD_OFF,
    }
}

/// It was held, and nobody has decided.
pub(crate) fn not_yet(agent: &str) -> Reject {
    Reject {
        code: "approval_pending".to_owned(),
        message: format!("nobody has approved this agent yet: reachback agents approve {agent}"),
        retry_after: PENDING_HOLD_OFF,
    }
}

/// There is no place to hold it in.
pub(crate) fn too_many_pending() -> Reject {
    Reject {
        code: "too_many_pending".to_owned(),
        message: "this gateway holds no more links that wait for approval, but it has noted the agent's name"
            .to_owned(),
        retry_after: PENDING_HOLD_OFF,
    }
}
