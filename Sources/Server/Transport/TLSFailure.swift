import NIOSSL

/// Why a TLS handshake failed, in words for the operator.
enum TLSFailure {
    /// What the library calls it, and what that means here.
    private static let meanings: [(code: String, meaning: String)] = [
        ("HTTP_REQUEST", "the client speaks plain HTTP"),
        ("HTTPS_PROXY_REQUEST", "the client speaks plain STOMP, or HTTP"),
        ("WRONG_VERSION_NUMBER", "the client does not speak TLS"),
        ("UNSUPPORTED_PROTOCOL", "the client speaks neither TLS 1.2 nor 1.3"),
        ("PROTOCOL_VERSION", "the client speaks neither TLS 1.2 nor 1.3"),
        ("NO_SHARED_CIPHER", "the client offers no cipher that is allowed"),
        ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "the client shows no certificate"),
        (
            "CERTIFICATE_VERIFY_FAILED",
            "client_ca does not vouch for the client's certificate, or that has expired"
        ),
        // OpenSSL's clients send this alert unencrypted, where TLS 1.3 expects it encrypted.
        (
            "BAD_PACKET_LENGTH",
            "the client gave up; probably it does not accept this certificate's issuer, name or date"
        ),
        ("ALERT_UNKNOWN_CA", "the client does not trust this certificate's issuer"),
        ("ALERT_CERTIFICATE_UNKNOWN", "the client does not accept this certificate"),
        ("ALERT_BAD_CERTIFICATE", "the client does not accept this certificate"),
        ("ALERT_CERTIFICATE_EXPIRED", "the client says that this certificate has expired"),
    ]

    /// True if the other side only connected and left, as those do that look whether a port is open.
    static func isSilent(_ error: BoringSSLError) -> Bool {
        error == .sslError([.eofDuringHandshake])
    }

    /// One line, without what a peer could have put into it.
    static func reason(_ error: BoringSSLError) -> String {
        switch error {
        case .sslError(let stack), .unknownError(let stack), .invalidSNIName(let stack),
            .failedToSetALPN(let stack):
            let text = stack.map(\.description).joined(separator: "; ")
            return meanings.first { text.contains($0.code) }?.meaning ?? shortened(text)
        case .noError, .zeroReturn, .wantRead, .wantWrite, .wantConnect, .wantAccept,
            .wantX509Lookup, .wantCertificateVerify, .syscallError:
            return "\(error)"
        }
    }

    /// The reason alone, of `Error: 268... error:1000...:SSL routines:WHERE:REASON at FILE:LINE`.
    private static func shortened(_ text: String) -> String {
        let parts = text.split(separator: ":")
        let upper = parts.first { part in
            let word = part.prefix { $0 != " " }
            return word.first?.isUppercase == true && word.count > 5
                && word.allSatisfy { $0.isUppercase || $0.isNumber || $0 == "_" }
        }
        return upper.map { String($0.prefix { $0 != " " }) } ?? String(text.prefix(120))
    }
}
