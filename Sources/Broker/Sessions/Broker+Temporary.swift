package import Base

// Replies. A client names a temporary queue in `reply-to` or in a subscription; the broker makes it
// under an address that nobody can guess, and that anyone may send to. It is the session's own, and
// ends with it.

extension Broker {
    /// What addresses of temporary queues begin with; names that clients choose must not.
    package static let temporaryAddressPrefix = "/temp-queue/@"

    /// The address of a temporary queue that the session calls `name`, which is made if it is not there.
    ///
    /// `token`: nobody may be able to guess it, and it is never used twice.
    package func temporaryAddress(
        _ session: SessionID,
        _ name: String,
        token: () -> String,
        now: Instant
    ) throws(BrokerError) -> String {
        try requireStore()
        dispatcher.now = now
        let session = try require(session)
        if let known = session.temporaries[name] { return known.address }
        _ = try DestinationName(parsing: name)
        guard session.identity.permissions.allowTemporaries else {
            throw .refused(session.identity, .subscribe, name)
        }
        if name.hasPrefix(Self.temporaryAddressPrefix) {
            throw BrokerError(
                .badDestination,
                "destination \(name) does not exist: the connection that it belonged to has ended"
            )
        }
        let limit = settings.limits.temporaryQueuesPerConnection
        guard session.temporaries.count < limit else {
            throw BrokerError(
                .limitReached,
                "destination \(name): temporary_queues_per_connection = \(limit)"
            )
        }
        let made = try registry.createTemporary(Self.temporaryAddressPrefix + token(), now: now)
        session.temporaries[name] = made
        return made.address
    }

    /// Whether nobody is subscribed to a temporary queue that the session calls `name`.
    package func isUnheard(_ session: SessionID, _ name: String) -> Bool {
        sessions.find(session)?.temporaries[name]?.queue.subscriberCount == 0
    }
}
