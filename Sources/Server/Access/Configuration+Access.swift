import Base
import Broker
import Glibc
import Logging

/// Something that is allowed, but that an operator should know.
package struct ConfigurationWarning: Sendable, Equatable, CustomStringConvertible {
    /// What is the case, in a few words.
    package let message: String
    /// What that means, and what to do.
    package let detail: String

    package var description: String { "\(message): \(detail)" }

    func log(_ logger: Logger) {
        logger.warning("\(message)", metadata: [LogKeys.detail: "\(detail)"])
    }
}

/// Who is let in, read from the configuration and the users file.
package struct LoadedAccess: Sendable {
    let rules: AccessRules
    let limits: AccessControl.ConnectionLimits
    package let warnings: [ConfigurationWarning]
    /// Users in the users file.
    let userCount: Int
}

extension Configuration {
    /// Reads the users file, if there is to be one, and puts together who is let in.
    ///
    /// Blocks for the file. Throws every problem of it.
    package func loadAccess() throws(ConfigurationError) -> LoadedAccess {
        var warnings = listenerWarnings + certificateWarnings(now: time(nil))
        let method: Authenticator.Method
        var userCount = 0
        switch auth.method {
        case .none: method = .none
        case .certificate: method = .certificate
        case .file:
            guard let found = try UsersFile.read(auth.users) else {
                throw UsersFile.failure(
                    auth.users,
                    "does not exist: make it with `radiatord user add NAME --users \(auth.users)`"
                )
            }
            warnings += usersWarnings(found)
            userCount = found.users.hashes.count
            do throws(PasscodeHashError) {
                method = .passcodes(hashes: found.users.hashes, decoy: try PasscodeHash.decoy())
            } catch {
                throw UsersFile.failure(auth.users, error.text)
            }
        }
        return LoadedAccess(
            rules: AccessRules(Authenticator(method), permits: try permissions()),
            limits: AccessControl.ConnectionLimits(
                perUser: limits.connectionsPerUser,
                perAddress: limits.connectionsPerAddress
            ),
            warnings: warnings,
            userCount: userCount
        )
    }

    /// What `--check` prints for a sound configuration: a summary, and what should be known of it.
    ///
    /// Blocks for the users file, if there is to be one, and throws its problems.
    package func report() throws(ConfigurationError) -> String {
        let warnings = try loadAccess().warnings
        return ([summary] + warnings.map { "warning: \($0)" }).joined(separator: "\n")
    }

    private func permissions() throws(ConfigurationError) -> [String: Permissions] {
        var permits: [String: Permissions] = [:]
        for permit in permit {
            do throws(BrokerError) {
                permits[permit.user] = try Permissions(
                    send: permit.send,
                    subscribe: permit.subscribe,
                    create: permit.create
                )
            } catch {
                throw UsersFile.failure("[[permit]] user \"\(permit.user)\"", error.text)
            }
        }
        return permits
    }

    // MARK: Warnings

    private var listenerWarnings: [ConfigurationWarning] {
        var warnings: [ConfigurationWarning] = []
        for listen in listen where !listen.address.isLoopback {
            switch auth.method {
            case .none:
                let made = create.allow.isEmpty ? "" : ", and create \(created)"
                warnings.append(
                    ConfigurationWarning(
                        message: "\(listen.address) is open without authentication",
                        detail: "whoever reaches it may send to and read every queue, topic and "
                            + "fan-out\(made); set [auth] method, or listen on 127.0.0.1"
                    )
                )
            case .file where !listen.isEncrypted:
                warnings.append(
                    ConfigurationWarning(
                        message: "passcodes cross the network in clear",
                        detail: "\(listen.address) has no TLS: whoever reads along may log in"
                    )
                )
            case .file, .certificate: break
            }
        }
        if auth.method == .certificate, !listen.contains(where: \.asksForCertificate) {
            warnings.append(
                ConfigurationWarning(
                    message: "nobody can log in",
                    detail: "[auth] method = \"certificate\", and no listener asks for certificates"
                )
            )
        }
        if auth.method == .none, !permit.isEmpty {
            warnings.append(
                ConfigurationWarning(
                    message: "[[permit]] has no effect",
                    detail: "[auth] method = \"none\": everybody may do everything"
                )
            )
        }
        return warnings
    }

    /// Certificates that are not valid, or soon will not be, and keys that others can read.
    private func certificateWarnings(now: Int) -> [ConfigurationWarning] {
        var warnings: [ConfigurationWarning] = []
        var seen: Set<String> = []
        for tls in listen.compactMap(\.tls) where seen.insert(tls.certificate).inserted {
            // What is wrong with the files themselves is a problem, and told elsewhere.
            if case .success(let files) = TLSFiles.read(tls), let validity = files.validity {
                let days = (validity.upperBound - now) / 86_400
                var state: String?
                if now < validity.lowerBound { state = "is not valid yet" }
                if now > validity.upperBound { state = "has expired" }
                if state == nil, days < Self.certificateDaysMin { state = "ends in \(days) days" }
                if let state {
                    warnings.append(
                        ConfigurationWarning(
                            message: "the certificate \(state)",
                            detail:
                                "\(tls.certificate): clients will refuse it; write a new one and "
                                + "send SIGHUP"
                        )
                    )
                }
            }
            var status = stat()
            if stat(tls.key, &status) == 0, status.st_mode & 0o007 != 0 {
                warnings.append(
                    ConfigurationWarning(
                        message: "\(tls.key) is open to others",
                        detail: "whoever reads the key can pretend to be this broker: chmod 640"
                    )
                )
            }
        }
        return warnings
    }

    /// A renewal that is due is told this long before.
    private static var certificateDaysMin: Int { 14 }

    private var created: String { create.allow.joined(separator: ", ") }

    private func usersWarnings(_ found: UsersFile.Found) -> [ConfigurationWarning] {
        var warnings: [ConfigurationWarning] = []
        if found.users.hashes.isEmpty {
            warnings.append(
                ConfigurationWarning(
                    message: "nobody can log in",
                    detail: "\(auth.users) has no users: add them with `radiatord user add`"
                )
            )
        }
        if found.isOpenToOthers {
            warnings.append(
                ConfigurationWarning(
                    message: "\(auth.users) is open to others",
                    detail: "others may read or write it: chmod 600, or 640 for its group to read"
                )
            )
        }
        for user in permit.map(\.user) where user != "*" && found.users.hashes[user] == nil {
            warnings.append(
                ConfigurationWarning(
                    message: "[[permit]] for nobody",
                    detail: "user \"\(user)\" is not in \(auth.users)"
                        + Suggestion.hint(for: user, among: found.users.names)
                )
            )
        }
        return warnings
    }
}

extension Configuration.Listen {
    /// True if nobody on the way can read along.
    var isEncrypted: Bool { tls != nil }

    /// True if clients must show a certificate.
    var asksForCertificate: Bool { tls.map { !$0.clientCA.isEmpty } ?? false }
}

extension ListenAddress {
    /// True if only this machine reaches it.
    var isLoopback: Bool {
        if host == "localhost" { return true }
        var bytes = [UInt8](repeating: 0, count: 16)
        if inet_pton(AF_INET, host, &bytes) == 1 { return bytes[0] == 127 }
        guard inet_pton(AF_INET6, host, &bytes) == 1 else { return false }
        let mapped = [UInt8](repeating: 0, count: 10) + [0xFF, 0xFF, 127]
        return bytes == [UInt8](repeating: 0, count: 15) + [1] || bytes.starts(with: mapped)
    }
}
