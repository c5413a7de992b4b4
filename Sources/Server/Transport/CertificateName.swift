import NIOSSL
import SwiftASN1

/// The name that a certificate is about.
enum CertificateName {
    /// The common name of the subject; nil unless there is exactly one, and it is plain text.
    ///
    /// What is not unique, or holds control characters, names nobody. RFC 5280, 4.1 and 4.1.2.6.
    static func commonName(of certificate: NIOSSLCertificate) -> String? {
        do {
            return try commonName(ofDER: certificate.toDERBytes())
        } catch {
            // A certificate that was verified can be read; one that cannot names nobody.
            return nil
        }
    }

    /// The same for the certificate's bytes.
    static func commonName(ofDER bytes: [UInt8]) throws -> String? {
        let root = try DER.parse(bytes)
        let names = try DER.sequence(root, identifier: .sequence) { outer -> [String] in
            guard let inner = outer.next() else { return [] }
            let names = try DER.sequence(inner, identifier: .sequence) { toBeSigned -> [String] in
                try DER.optionalExplicitlyTagged(
                    &toBeSigned,
                    tagNumber: 0,
                    tagClass: .contextSpecific
                ) { _ in }
                // Serial number, signature, issuer, validity.
                for _ in 0..<4 { _ = toBeSigned.next() }
                let names = try subjectNames(toBeSigned.next())
                while toBeSigned.next() != nil {}
                return names
            }
            while outer.next() != nil {}
            return names
        }
        guard names.count == 1, let name = names.first, !name.isEmpty,
            name.unicodeScalars.allSatisfy(isPrintable)
        else { return nil }
        return name
    }

    private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.generalCategory != Unicode.GeneralCategory.control
    }

    private static let commonNameID: ASN1ObjectIdentifier = [2, 5, 4, 3]

    /// Every common name of a `Name`: a list of sets of attributes.
    private static func subjectNames(_ subject: ASN1Node?) throws -> [String] {
        guard let subject else { return [] }
        var names: [String] = []
        try DER.sequence(subject, identifier: .sequence) { sets in
            while let set = sets.next() {
                guard case .constructed(let attributes) = set.content else { continue }
                for attribute in attributes {
                    try DER.sequence(attribute, identifier: .sequence) { fields in
                        let id = try ASN1ObjectIdentifier(derEncoded: &fields)
                        let value = fields.next()
                        if id == commonNameID { names.append(try text(value)) }
                    }
                }
            }
        }
        return names
    }

    /// A text in one of the two encodings that certificates of today use; else empty.
    private static func text(_ node: ASN1Node?) throws -> String {
        guard let node else { return "" }
        switch node.identifier {
        case .utf8String: return String(try ASN1UTF8String(derEncoded: node))
        case .printableString: return String(try ASN1PrintableString(derEncoded: node))
        default: return ""
        }
    }
}
