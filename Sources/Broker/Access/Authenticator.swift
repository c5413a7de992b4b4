/// Decides who a client is: the seam between a login and the built-in ways to prove it.
///
/// A pure value. What costs time, the hash of a passcode, is handed back as a check that the owner
/// runs elsewhere.
package struct Authenticator: Sendable, Equatable {
    /// How clients prove who they are.
    package enum Method: Sendable, Equatable {
        /// They need not.
        case none
        /// By user and passcode; `decoy` is a hash that no passcode has, checked for unknown users so
        /// that they take as long.
        case passcodes(hashes: [String: String], decoy: String)
        /// By the certificate that the connection was made with.
        case certificate
    }

    package let method: Method

    package init(_ method: Method) { self.method = method }

    /// What comes of a login.
    package enum Decision: Sendable, Equatable {
        case accepted(user: String?, Identity.Proof)
        case refused(LoginRefusal)
        /// Depends on whether the passcode of the claim has this hash.
        case check(PasscodeCheck)
    }

    /// Decides, or says what is to be checked.
    package func decide(_ claim: LoginClaim) -> Decision {
        switch method {
        case .none: return .accepted(user: nil, .none)
        case .passcodes(let hashes, let decoy):
            guard let user = claim.user, !user.isEmpty, let passcode = claim.passcode,
                !passcode.isEmpty
            else { return .refused(.missing) }
            guard let hash = hashes[user] else {
                return .check(PasscodeCheck(user: nil, passcode: passcode, hash: decoy))
            }
            return .check(PasscodeCheck(user: user, passcode: passcode, hash: hash))
        case .certificate:
            guard let user = claim.certificateUser else { return .refused(.certificateMissing) }
            guard UserName.problem(user) == nil else { return .refused(.certificateName) }
            if let claimed = claim.user, !claimed.isEmpty, !claimed.hasSameBytes(as: user) {
                return .refused(.certificateOther)
            }
            return .accepted(user: user, .certificate)
        }
    }

    /// Whether a proof that was accepted once still counts.
    package func accepts(_ user: String?, _ proof: Identity.Proof) -> Bool {
        switch (method, proof) {
        case (.none, .none): user == nil
        case (.passcodes(let hashes, _), .passcode(let hash)):
            user.map { hashes[$0] == hash } ?? false
        case (.certificate, .certificate): user != nil
        case (.none, _), (.passcodes, _), (.certificate, _): false
        }
    }
}

/// Who a client says it is.
package struct LoginClaim: Sendable {
    package let user: String?
    package let passcode: [UInt8]?
    /// Whom the connection's certificate names.
    package let certificateUser: String?

    package init(user: String?, passcode: [UInt8]?, certificateUser: String? = nil) {
        self.user = user
        self.passcode = passcode
        self.certificateUser = certificateUser
    }
}

/// A passcode and the hash that it should have.
package struct PasscodeCheck: Sendable, Equatable {
    /// Nil if nobody has the name that was claimed: then it fails in any case.
    package let user: String?
    package let passcode: [UInt8]
    package let hash: String

    package init(user: String?, passcode: [UInt8], hash: String) {
        self.user = user
        self.passcode = passcode
        self.hash = hash
    }
}

/// Why a login was refused; the raw value is the reason in the log.
package enum LoginRefusal: String, Sendable, Equatable {
    /// No login, or no passcode, was given.
    case missing = "login_missing"
    /// The user or the passcode is wrong; which of them is not told, not even to the log.
    case wrong = "login_wrong"
    case certificateMissing = "certificate_missing"
    /// The certificate's name is none that a user can have.
    case certificateName = "certificate_name"
    /// The login names somebody else than the certificate.
    case certificateOther = "certificate_other"

    /// What the client is told.
    package var text: String {
        switch self {
        case .missing: "This broker wants a login and a passcode."
        case .wrong: "The login or the passcode is wrong."
        case .certificateMissing: "This broker wants a client certificate."
        case .certificateName: "The certificate's common name is none that a user can have."
        case .certificateOther: "The login is not the certificate's common name."
        }
    }
}

extension String {
    /// By bytes: String's own comparison takes some different names as equal.
    fileprivate func hasSameBytes(as other: String) -> Bool { utf8.elementsEqual(other.utf8) }
}
