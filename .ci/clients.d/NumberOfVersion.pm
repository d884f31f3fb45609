# Lets Perl's `version` parse `1.6.45-miocached-0.1`: it keeps the number and drops the suffix.
package NumberOfVersion;

use strict;
use warnings;
use version;

my $parse = \&version::parse;

{
    no warnings 'redefine';
    *version::parse = sub {
        my ( $class, $text ) = @_;
        $text =~ s/-.*//s;
        return $parse->( $class, $text );
    };
}

1;
