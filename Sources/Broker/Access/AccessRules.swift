/// Who is let in and what each may do, as the configuration and the users file say.
package struct AccessRules: Sendable, Equatable {
    package let authenticator: Authenticator
    /// By user.
    private let permits: [String: Permissions]
    /// Of users that have no entry of their own.
    private let otherUsers: Permissions

    /// Nobody is asked, everything is permitted.
    package static let open = AccessRules(Authenticator(.none), permits: [:])

    /// Rules from permits by user; `*` is every user without one.
    ///
    /// Without any, an authenticated user may do everything; with some, one who has none may do
    /// nothing.
    package init(_ authenticator: Authenticator, permits: [String: Permissions]) {
        self.authenticator = authenticator
        self.permits = permits
        otherUsers = permits["*"] ?? (permits.isEmpty ? .everything : .nothing)
    }

    /// The identity of somebody who proved who he is; nil if the proof does not count any more.
    package func identity(_ user: String?, _ proof: Identity.Proof) -> Identity? {
        guard authenticator.accepts(user, proof) else { return nil }
        return Identity(user: user, proof: proof, permissions: permissions(of: user))
    }

    private func permissions(of user: String?) -> Permissions {
        // Without authentication nobody has a name that a permit could be for.
        guard let user else { return .everything }
        return permits[user] ?? otherUsers
    }
}
