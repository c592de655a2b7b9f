-- A database for each service's read models; the collation makes text order as it does everywhere else.
CREATE DATABASE accounts TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8';
CREATE DATABASE payments TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8';
CREATE DATABASE settlement TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8';
CREATE DATABASE funds TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8';
CREATE DATABASE recommendations TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8';
CREATE DATABASE recommendations_keys TEMPLATE template0 LOCALE 'C' ENCODING 'UTF8';
