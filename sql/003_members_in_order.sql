-- Step 3: a list of members finds in its index all that it needs of memberships.
ALTER TABLE memberships
    DROP KEY memberships_joined,
    ADD KEY memberships_joined (organization_id, joined_at, user_id, role);
