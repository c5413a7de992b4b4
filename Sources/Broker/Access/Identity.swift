/// Who a session is, how that was shown, and what it may do.
package struct Identity: Sendable, Equatable {
    /// How a client showed who it is.
    package enum Proof: Sendable, Equatable {
        /// Nobody asked.
        case none
        /// By a passcode that has this hash; another hash makes it another proof.
        case passcode(hash: String)
        /// By the certificate that it connected with.
        case certificate
    }

    /// Nil where nobody has a name.
    package let user: String?
    package let proof: Proof
    package let permissions: Permissions

    package init(user: String?, proof: Proof, permissions: Permissions) {
        self.user = user
        self.proof = proof
        self.permissions = permissions
    }

    /// A session without authentication.
    package static let anybody = Identity(user: nil, proof: .none, permissions: .everything)

    /// The user as an error names him.
    var shown: String { user.map { "user \($0)" } ?? "an unnamed user" }
}

/// A right that somebody wanted and has not got.
package struct AccessRefusal: Sendable, Equatable {
    package let user: String?
    package let right: Permissions.Right
    package let destination: String
}

extension BrokerError {
    /// `.notAllowed`, in words that name the user, the right, the destination and where it is set.
    static func refused(
        _ identity: Identity,
        _ right: Permissions.Right,
        _ destination: String
    ) -> BrokerError {
        let shown = String(destination.prefix(300))
        let verb =
            switch right {
            case .send: "send to"
            case .subscribe: "subscribe to"
            case .create: "create"
            }
        return BrokerError(
            .notAllowed,
            "\(identity.shown) may not \(verb) \(shown) ([[permit]])",
            refusal: AccessRefusal(user: identity.user, right: right, destination: shown)
        )
    }
}
